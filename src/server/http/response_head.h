// The head of an HTTP/1.1 response as bytes. Plain functions, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "server/exchange.h"

namespace octavo::server {

struct HeadOptions {
  bool keep_alive = true;
  std::optional<size_t> content_length;  // without one: chunks, or the connection's end
  bool chunked = false;
};

// Control characters in a header's value (it may quote a client) become spaces.
std::string response_head(const HttpResponse& response, const HeadOptions& options);

}  // namespace octavo::server
