#include "cli/input.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>

#include "base/error.h"

namespace octavo::cli {
namespace {

constexpr size_t kReadBytes = size_t{1} << 16;

// log2 of a unit's size, or -1.
int unit_shift(std::string_view unit) {
  if (unit.empty()) return 0;
  const size_t position = std::string_view("KMGT").find(unit[0]);
  const bool known = unit.size() == 1 || unit.substr(1) == "iB" || unit.substr(1) == "B";
  if (position == std::string_view::npos || !known) return -1;
  return 10 * static_cast<int>(position + 1);
}

Error cannot_read(const std::string& name) {
  const int reason = errno;
  if (reason == ENOENT) return not_found("{}: no such file", name);
  if (reason == EIO || reason == ENOMEM || reason == EMFILE) {
    return io_error("{}: {}", name, std::strerror(reason));
  }
  return invalid_input("{}: {}", name, std::strerror(reason));
}

}  // namespace

Result<int64_t> parse_bytes(std::string_view text) {
  int64_t amount = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, amount);
  const int shift = unit_shift(std::string_view(parsed.ptr, static_cast<size_t>(end - parsed.ptr)));
  if (parsed.ec != std::errc() || amount < 0 || shift < 0) {
    return invalid_input("'{}' is not an amount of memory such as 512MiB or 2GiB", printable(text));
  }
  if (amount > std::numeric_limits<int64_t>::max() >> shift) {
    return invalid_input("'{}' is more memory than can be counted", printable(text));
  }
  return amount << shift;
}

Result<std::string> read_input(const std::string& path, size_t limit) {
  const bool is_standard_input = path == "-";
  const std::string name = is_standard_input ? "standard input" : printable(path, 4096);
  std::unique_ptr<FILE, int (*)(FILE*)> opened(nullptr, std::fclose);
  if (!is_standard_input) {
    opened.reset(std::fopen(path.c_str(), "rb"));
    if (opened == nullptr) return cannot_read(name);
  }
  FILE* file = is_standard_input ? stdin : opened.get();

  const size_t most = limit == 0 ? max_input_bytes + 1 : std::min(limit, max_input_bytes + 1);
  std::string content;
  std::array<char, kReadBytes> buffer;
  while (content.size() < most) {
    const size_t wanted = std::min(buffer.size(), most - content.size());
    const size_t count = std::fread(buffer.data(), 1, wanted, file);
    content.append(buffer.data(), count);
    if (count < wanted) break;
  }
  if (std::ferror(file) != 0) return cannot_read(name);
  if (content.size() > max_input_bytes) {
    return invalid_input("{}: more than {} bytes", name, max_input_bytes);
  }
  return content;
}

}  // namespace octavo::cli
