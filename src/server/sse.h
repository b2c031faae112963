// Server-sent events (WHATWG HTML, 9.2) as bytes. Plain functions, any thread.
#pragma once

#include <chrono>
#include <string>

#include "server/exchange.h"
#include "server/json_body.h"

namespace octavo::server {

inline std::string sse_json(const std::string& text) {
  return "data: " + text + "\n\n";
}
inline std::string sse_event(const Json& data) {
  return sse_json(dump(data));
}

// A comment, which readers skip: it says that the connection lives.
inline constexpr const char* kSsePing = ": ping\n\n";
// Proxies drop a connection that says nothing for 30 or 60 seconds.
inline constexpr std::chrono::seconds kSsePingEvery{15};

// The head of an answer that is a stream of events.
inline HttpResponse sse_head() {
  return {.content_type = "text/event-stream; charset=utf-8",
          .headers = {{"Cache-Control", "no-cache"}}};
}

}  // namespace octavo::server
