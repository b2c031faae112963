// AccessLog: a line of JSON for each request, to a file or standard error.
//
// A line is written in one piece at the file's end, so that several programs and `copytruncate` of
// log rotation agree with it. A line that cannot be written (the disk is full) is lost; the first
// time standard error says so. Thread safety: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "octavo/result.h"
#include "server/exchange.h"

namespace octavo::server {

struct AccessRecord {
  std::chrono::system_clock::time_point begin;  // its first byte came
  std::string request_id;
  std::string key_name;  // not the key
  std::string method;
  std::string path;  // the route: what a client made up is "other"
  int status = 0;    // 0: it got no answer
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
  double seconds_to_answer = 0;  // until the answer began
  double seconds = 0;            // until its end
  Usage usage;
  bool client_gone = false;  // it did not wait for the end
  std::string traceparent;
};

// One line, without its end. What is empty or 0 for most requests is left out.
std::string access_line(const AccessRecord& record);

class AccessLog {
 public:
  // "-": standard error.
  static Result<std::unique_ptr<AccessLog>> open(const std::string& path);
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  ~AccessLog();

  void write(const AccessRecord& record);

 private:
  AccessLog(int file, bool is_owned) : file_(file), is_owned_(is_owned) {}

  const int file_;
  const bool is_owned_;
  std::atomic<bool> has_failed_{false};
};

}  // namespace octavo::server
