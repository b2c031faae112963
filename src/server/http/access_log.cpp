#include "server/http/access_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "server/complain.h"
#include "server/json_body.h"

namespace octavo::server {
namespace {

// RFC 3339, UTC: "2026-11-25T08:11:44.123Z".
std::string rfc3339(std::chrono::system_clock::time_point time) {
  using std::chrono::milliseconds;
  const auto since = std::chrono::floor<milliseconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(since / 1000), since % 1000);
}

double milliseconds(double seconds) {
  return std::round(seconds * 1e6) / 1e3;
}

}  // namespace

std::string access_line(const AccessRecord& record) {
  Json line;
  line["time"] = rfc3339(record.begin);
  line["request_id"] = record.request_id;
  if (!record.key_name.empty()) line["key"] = record.key_name;
  line["method"] = record.method;
  line["path"] = record.path;
  line["status"] = record.status;
  line["bytes_in"] = record.bytes_in;
  line["bytes_out"] = record.bytes_out;
  line["answer_ms"] = milliseconds(record.seconds_to_answer);
  line["duration_ms"] = milliseconds(record.seconds);
  if (record.usage.prompt_tokens > 0) {
    line["prompt_tokens"] = record.usage.prompt_tokens;
    line["cached_tokens"] = record.usage.cached_tokens;
    line["generated_tokens"] = record.usage.generated_tokens;
  }
  if (record.client_gone) line["client_gone"] = true;
  if (!record.traceparent.empty()) line["traceparent"] = record.traceparent;
  return dump(line);
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const std::string& path) {
  if (path == "-") return std::unique_ptr<AccessLog>(new AccessLog(STDERR_FILENO, false));
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (file < 0) return io_error("access-log: {}: {}", path, std::strerror(errno));
  return std::unique_ptr<AccessLog>(new AccessLog(file, true));
}

AccessLog::~AccessLog() {
  if (is_owned_) ::close(file_);
}

void AccessLog::write(const AccessRecord& record) {
  const std::string line = access_line(record) + "\n";
  const ssize_t written = ::write(file_, line.data(), line.size());
  const bool is_whole = written == static_cast<ssize_t>(line.size());
  if (!is_whole && !has_failed_.exchange(true)) {
    complain(fmt::format("access-log: lines are lost: {}",
                         written < 0 ? std::strerror(errno) : "no room"));
  }
}

}  // namespace octavo::server
