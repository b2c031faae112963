// Cross-origin requests (WHATWG Fetch, "CORS protocol"): what a browser must be told so that a page
// of another origin may use the server. Plain functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/exchange.h"

namespace octavo::server {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// For any answer. `allowed` is the one origin that may ask, or * for all; others get nothing.
HeaderList cors_headers(const HttpRequest& request, std::string_view allowed);

// Whether the browser asks first if it may ask.
bool is_preflight(const HttpRequest& request);
HttpResponse preflight_answer(const HttpRequest& request, std::string_view allowed);

}  // namespace octavo::server
