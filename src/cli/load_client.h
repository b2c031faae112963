// The load of `octavo bench serve` on a server that speaks OpenAI's API, and what came of it.
//
// One thread, which run_load() blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/load_workload.h"
#include "octavo/result.h"

namespace octavo::cli {

struct LoadTarget {
  std::string host;
  std::string port;
  std::string path;     // of the API: "" or "/prefix"
  std::string model;    // as the server calls it; empty: it is not named
  std::string api_key;  // empty: none
};

// "http://host:port/prefix"
Result<LoadTarget> parse_target(const std::string& url);

// Times in seconds after the start of the load.
struct RequestRecord {
  double asked_s = 0;  // when it was to be sent
  double first_s = 0;  // its first text came
  double last_s = 0;
  std::vector<double> gaps_s;  // from text to text
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, as the server says
  int64_t output_tokens = 0;
  std::string error;  // empty: it was answered to its end

  bool ok() const { return error.empty(); }
};

struct LoadOptions {
  int32_t users = 0;        // so many ask in turn, the next at once; 0: each request at its time
  double timeout_s = 3600;  // of the whole load; what is not over then has failed
};

std::vector<RequestRecord> run_load(const LoadTarget& target,
                                    const std::vector<PlannedRequest>& plan,
                                    const LoadOptions& options);

// Reads the events of one answer; fed with the bytes as they come.
class AnswerReader {
 public:
  explicit AnswerReader(RequestRecord& record) : record_(record) {}

  void feed(std::string_view bytes, double now_s);
  // Errors where the answer has no end.
  void finish();

 private:
  void take_event(std::string_view data, double now_s);

  RequestRecord& record_;
  std::string line_;
  int64_t texts_ = 0;
  bool is_done_ = false;
};

}  // namespace octavo::cli
