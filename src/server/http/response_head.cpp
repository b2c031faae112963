#include "server/http/response_head.h"

#include <fmt/chrono.h>

#include <boost/beast/http/status.hpp>
#include <ctime>
#include <iterator>

namespace octavo::server {
namespace {

void add_field(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    head += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  head += "\r\n";
}

}  // namespace

std::string response_head(const HttpResponse& response, const HeadOptions& options) {
  namespace http = boost::beast::http;
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string head;
  fmt::format_to(std::back_inserter(head), "HTTP/1.1 {} {}\r\n", response.status,
                 std::string_view(reason.data(), reason.size()));
  // RFC 9110, 6.6.1: a server that has a clock says what it shows.
  add_field(head, "Date",
            fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr))));
  if (!response.content_type.empty()) add_field(head, "Content-Type", response.content_type);
  if (options.content_length) {
    add_field(head, "Content-Length", std::to_string(*options.content_length));
  }
  if (options.chunked) add_field(head, "Transfer-Encoding", "chunked");
  add_field(head, "Connection", options.keep_alive ? "keep-alive" : "close");
  for (const auto& [name, value] : response.headers) add_field(head, name, value);
  head += "\r\n";
  return head;
}

}  // namespace octavo::server
