#include "cli/perplexity.h"

#include <cmath>
#include <deque>
#include <memory>

#include "base/error.h"
#include "engine/request_json.h"

namespace octavo::cli {
namespace {

// Chunks handed to the engine at once: enough to fill its steps.
constexpr size_t kOutstanding = 8;

// Mean and variance as the scores arrive (Welford's method).
class Scores {
 public:
  void add(double score) {
    count_ += 1;
    const double difference = score - mean_;
    mean_ += difference / static_cast<double>(count_);
    squares_ += difference * (score - mean_);
  }
  int64_t count() const { return count_; }
  double mean() const { return mean_; }
  double standard_error() const {
    if (count_ < 2) return 0.0;
    return std::sqrt(squares_ / static_cast<double>(count_ - 1) / static_cast<double>(count_));
  }

 private:
  int64_t count_ = 0;
  double mean_ = 0.0;
  double squares_ = 0.0;
};

// Minus the log probabilities of the chunk's tokens but the first, in order.
Result<std::vector<double>> scores_of(Stream& stream, size_t chunk) {
  std::vector<double> scores;
  FinishReason finish = FinishReason::none;
  while (const auto event = stream.next()) {
    for (const TokenInfo& token : event->tokens) {
      scores.push_back(-static_cast<double>(token.logprob));
    }
    finish = event->finish;
  }
  if (finish == FinishReason::no_memory) return resource_error("{}", kNoMemoryMessage);
  if (finish != FinishReason::length || scores.size() != chunk - 1) {
    return resource_error("the engine stopped in the middle of a chunk");
  }
  return scores;
}

Result<std::unique_ptr<Stream>> submit_chunk(Engine& engine, const int32_t* tokens, size_t chunk) {
  Request request;
  request.prompt.assign(tokens, tokens + chunk);
  if (engine.model().adds_bos) request.prompt[0] = engine.model().bos;
  request.score_prompt = true;
  return engine.submit(std::move(request));
}

}  // namespace

Result<Perplexity> measure_perplexity(Engine& engine, std::string_view text, int64_t chunk,
                                      const std::function<void(int64_t, int64_t)>& progress) {
  const int64_t context = engine.model().context_length;
  if (chunk < min_chunk || chunk > context) {
    return invalid_input("chunk: {} is not between {} and the context of {} tokens", chunk,
                         min_chunk, context);
  }
  if (text.ends_with('\n')) text.remove_suffix(1);
  OCTAVO_ASSIGN(const std::vector<int32_t> tokens, engine.tokenize(text, {}));
  const auto size = static_cast<size_t>(chunk);
  const size_t chunks = tokens.size() / size;
  if (chunks == 0) {
    return invalid_input("the text has {} tokens, fewer than one chunk of {}", tokens.size(),
                         chunk);
  }

  Perplexity result;
  result.text_tokens = static_cast<int64_t>(tokens.size());
  Scores all;
  std::deque<std::unique_ptr<Stream>> outstanding;
  for (size_t submitted = 0; result.of_each_chunk.size() < chunks;) {
    while (submitted < chunks && outstanding.size() < kOutstanding) {
      OCTAVO_ASSIGN(auto stream, submit_chunk(engine, &tokens[submitted * size], size));
      outstanding.push_back(std::move(stream));
      submitted += 1;
    }
    OCTAVO_ASSIGN(const std::vector<double> scores, scores_of(*outstanding.front(), size));
    outstanding.pop_front();
    Scores of_chunk;
    for (size_t i = size / 2; i < scores.size(); ++i) {
      of_chunk.add(scores[i]);
      all.add(scores[i]);
    }
    result.of_each_chunk.push_back(std::exp(of_chunk.mean()));
    progress(static_cast<int64_t>(result.of_each_chunk.size()), static_cast<int64_t>(chunks));
  }
  result.value = std::exp(all.mean());
  result.standard_error = result.value * all.standard_error();
  result.chunks = static_cast<int64_t>(chunks);
  result.scored_tokens = all.count();
  return result;
}

}  // namespace octavo::cli
