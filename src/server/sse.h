// Server-sent events (WHATWG HTML, 9.2) as bytes. Plain functions, any thread.
#pragma once

#include <string>

#include "server/exchange.h"
#include "server/json_body.h"

namespace octavo::server {

inline std::string sse_event(const Json& data) {
  return "data: " + dump(data) + "\n\n";
}

// The head of an answer that is a stream of events.
inline HttpResponse sse_head() {
  return {.content_type = "text/event-stream; charset=utf-8",
          .headers = {{"Cache-Control", "no-cache"}}};
}

}  // namespace octavo::server
