#include "server/http/request_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace octavo::server {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string random_prefix() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of(kHexDigits) == text.npos;
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == text.npos;
}

}  // namespace

RequestIds::RequestIds() : prefix_(random_prefix()) {}

std::string RequestIds::next() {
  return fmt::format("{}-{:x}", prefix_, ++count_);
}

bool is_good_request_id(std::string_view id) {
  const auto is_good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == ':';
  };
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), is_good);
}

// version "-" trace-id "-" parent-id "-" flags: 2, 32, 16 and 2 hexadecimal digits.
bool is_traceparent(std::string_view text) {
  constexpr size_t kLength = 55;
  if (text.size() < kLength || text.size() > 512) return false;
  const std::string_view version = text.substr(0, 2);
  const std::string_view trace = text.substr(3, 32);
  const std::string_view parent = text.substr(36, 16);
  const std::string_view flags = text.substr(53, 2);
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags)) return false;
  if (version == "ff" || is_zero(trace) || is_zero(parent)) return false;
  if (text.size() == kLength) return true;
  return version != "00" && text[kLength] == '-';
}

}  // namespace octavo::server
