// How the tokens of a step are drawn on a device: what its kernels are told about each row. Made by
// the host, once per step; plain numbers that kernels read.
//
// A row whose logits are changed before the draw (penalties, biases, bans, a mask) is adjusted
// where it is when nobody else reads it, and otherwise in a row of its own. So rows are numbered:
// r >= 0 is row r of the logits, ~r is row r of the adjusted ones.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace octavo {
struct SampleRow;
}

namespace octavo::cuda {

// One token to be drawn.
struct SampleRequest {
  double uniform;     // in [0, 1), from random.h
  float temperature;  // 0: the greatest logit
  float top_p;        // 1: off
  float min_p;        // 0: off
  float typical_p;    // 1: off
  int32_t top_k;      // 0: off
  int32_t row;        // several requests may have the same
  int32_t place;      // of the token among the results
  int32_t forced;     // >= 0: is the token
};

// What is added to a token's logit, or how often the token was generated.
struct SampleEdit {
  int32_t token;
  float value;
};

// One row to be adjusted: in row `to`, the logits of row `from`, minus infinity where a bit of the
// mask is clear; then with the additions; then with the penalties of the tokens that were seen.
struct AdjustRequest {
  int32_t from;
  int32_t to;
  int32_t mask;        // its first word; -1: none
  int32_t first_edit;  // the additions, ordered by token; the seen tokens, each once
  int32_t additions;
  int32_t seen;
  int32_t pending;  // the token drawn before for this row of results was seen once more; -1: none
  float repetition;
  float frequency;
  float presence;
};

// The log probabilities of one row: of the token at `place` of the results, and of the `top` most
// probable ones.
struct LogprobRequest {
  int32_t row;
  int32_t place;
  int32_t top;
  int32_t first_top;  // `top` of the requests before, added up
};

struct SamplePlan {
  // Forgets what was planned and keeps the memory.
  void clear();
  // All rows are drawn with the same steps: so is every draw of as many rows of that kind.
  bool is_uniform() const;

  std::vector<SampleRequest> requests;  // first those to be drawn, then the forced ones
  int64_t drawn = 0;
  int64_t forced = 0;
  bool is_greedy = true;  // all draws have a temperature of 0
  std::vector<AdjustRequest> adjusts;
  std::vector<SampleEdit> edits;
  int64_t copies = 0;       // rows of adjusted logits
  bool has_sweeps = false;  // a row is copied or masked
  std::vector<LogprobRequest> logprobs;
  int64_t tops = 0;  // of all of them
};

class SamplePlanner {
 public:
  // For logits [logits_rows, vocabulary]. `is_masked`: each row has mask words, one row's after the
  // other's. The last one of a row's tokens may be ~r: what row r of the previous draw gave. The
  // plan is there until the next one.
  const SamplePlan& plan(int64_t logits_rows, int64_t vocabulary, std::span<const SampleRow> rows,
                         bool is_masked);

 private:
  void adjust(const SampleRow& row, int32_t mask, SampleRequest& request);
  void add_additions(const SampleRow& row);
  void add_seen(const SampleRow& row);

  SamplePlan plan_;
  std::vector<SampleRequest> forced_;
  int64_t vocabulary_ = 0;
  std::vector<int32_t> readers_;  // of each row of logits
  std::vector<int32_t> counts_;   // of each token, plus one; zero between two rows
};

}  // namespace octavo::cuda
