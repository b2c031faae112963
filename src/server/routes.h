// All that the server answers, put together.
#pragma once

#include <string_view>

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// The one path that is answered as ever while the server is going down.
inline constexpr std::string_view kHealthPath = "/health";

// `service` must outlive the router.
Router make_router(const Service& service);

}  // namespace octavo::server
