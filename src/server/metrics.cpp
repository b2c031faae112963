#include "server/metrics.h"

#include <algorithm>
#include <utility>

namespace octavo::server {
namespace {

const char* name_of(Rejection reason) {
  switch (reason) {
    case Rejection::queue_full:
      return "queue_full";
    case Rejection::too_long:
      return "too_long";
    case Rejection::bad_input:
      return "bad_input";
    case Rejection::api_key:
      return "api_key";
    case Rejection::key_limits:
      return "key_limits";
    case Rejection::draining:
      return "draining";
    case Rejection::no_memory:
      return "no_memory";
  }
  return "bad_input";
}

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

void write_engine(const EngineStats& stats, PrometheusText& text) {
  text.gauge("octavo:num_requests_running", "Outputs in the running batch.",
             static_cast<double>(stats.running));
  text.gauge("octavo:num_requests_waiting", "Requests that have not started.",
             static_cast<double>(stats.waiting));
  text.gauge("octavo:num_requests_swapped", "Outputs that were preempted and wait to go on.",
             static_cast<double>(stats.preempted));
  const auto total = static_cast<double>(std::max<int64_t>(stats.blocks_total, 1));
  text.gauge("octavo:kv_cache_usage_perc", "KV cache blocks in use; 1: all of them.",
             static_cast<double>(stats.blocks_in_use) / total);
  const std::array<PrometheusText::Labelled, 4> blocks = {
      {{"in_use", stats.blocks_in_use},
       {"cached", stats.blocks_cached},
       {"free", stats.blocks_free},
       {"uncommitted", stats.blocks_uncommitted}}};
  text.labelled_gauge("octavo:kv_cache_blocks", "KV cache blocks by state.", "state", blocks);
  text.gauge("octavo:kv_cache_blocks_shared", "Blocks in use by two outputs or more.",
             static_cast<double>(stats.blocks_shared));
  text.gauge("octavo:kv_cache_block_bytes", "Bytes of a block.",
             static_cast<double>(stats.block_bytes));
  text.gauge("octavo:kv_host_blocks", "Blocks in the host tier.",
             static_cast<double>(stats.host_blocks_used));
  text.gauge("octavo:kv_disk_blocks", "Blocks in the disk tier.",
             static_cast<double>(stats.disk_blocks));
  text.counter("octavo:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
               stats.prefix_query_tokens);
  text.counter("octavo:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
               stats.prefix_hit_tokens);
  text.counter("octavo:prompt_tokens_total", "Prompt tokens computed.", stats.prompt_tokens);
  text.counter("octavo:generation_tokens_total", "Tokens generated.", stats.generated_tokens);
  text.counter("octavo:num_preemptions_total", "Preemptions of outputs.", stats.preemptions);
  text.counter("octavo:engine_steps_total", "Forward passes.", stats.steps);
  text.counter("octavo:kv_evictions_total", "Cached blocks taken for something else.",
               stats.evictions);
}

}  // namespace

void Metrics::count_rejection(Rejection reason) {
  rejections_[static_cast<size_t>(reason)].increment();
}

std::string Metrics::scrape(const EngineStats& stats) const {
  PrometheusText text;
  write_engine(stats, text);
  std::array<PrometheusText::Labelled, kRejections> rejected = {};
  for (size_t i = 0; i < kRejections; ++i) {
    rejected[i] = {name_of(static_cast<Rejection>(i)), rejections_[i].value()};
  }
  text.labelled_counter("octavo:request_rejected_total",
                        "Requests that were not served, by reason.", "reason", rejected);
  const std::array<PrometheusText::Labelled, kFinishes> finished = {
      {{"stop", finishes_[0].value()},
       {"length", finishes_[1].value()},
       {"abort", finishes_[2].value()},
       {"no_memory", finishes_[3].value()}}};
  text.labelled_counter("octavo:request_success_total",
                        "Outputs that ended, by reason; abort: the client went away, or the server "
                        "went down; no_memory: other programs took the device's memory.",
                        "finished_reason", finished);
  text.histogram("octavo:time_to_first_token_seconds",
                 "From a request's arrival to its first token.", time_to_first_token_);
  text.histogram("octavo:inter_token_latency_seconds", "From a token to the next.",
                 inter_token_latency_);
  text.histogram("octavo:request_time_per_output_token_seconds",
                 "Mean time from token to token of an output.", time_per_output_token_);
  text.histogram("octavo:e2e_request_latency_seconds",
                 "From a request's arrival to its last token.", whole_time_);
  text.histogram("octavo:request_queue_time_seconds",
                 "From a request's arrival to the first step with its prompt.", queue_time_);
  text.histogram("octavo:request_prefill_time_seconds",
                 "From the first step with a request's prompt to its first token.", prefill_time_);
  text.histogram("octavo:request_decode_time_seconds", "From an output's first token to its last.",
                 decode_time_);
  return text.text();
}

RequestTimes::RequestTimes(Metrics& metrics, int32_t outputs, TimePoint submitted)
    : metrics_(&metrics),
      submitted_(submitted),
      begun_(submitted),
      outputs_(static_cast<size_t>(outputs)),
      unfinished_(outputs_.size()) {}

void RequestTimes::add(const Event& event, TimePoint now) {
  if (event.prompt) {
    const double queued = event.prompt->queued_seconds;
    metrics_->queue_time_.observe(queued);
    begun_ = std::min(now, submitted_ + std::chrono::duration_cast<TimePoint::duration>(
                                            std::chrono::duration<double>(queued)));
  }
  Output& output = outputs_[static_cast<size_t>(event.output)];
  if (!event.tokens.empty()) add_tokens(output, static_cast<int64_t>(event.tokens.size()), now);
  if (event.finish != FinishReason::none) finish(output, event.finish, now);
}

void RequestTimes::add_tokens(Output& output, int64_t tokens, TimePoint now) {
  if (!std::exchange(has_tokens_, true)) {
    metrics_->time_to_first_token_.observe(seconds(now - submitted_));
    metrics_->prefill_time_.observe(seconds(now - begun_));
  }
  if (output.tokens == 0) {
    output.first = now;
  } else {
    // A reader that was away finds several tokens at once.
    const double each = seconds(now - output.last) / static_cast<double>(tokens);
    for (int64_t i = 0; i < tokens; ++i) metrics_->inter_token_latency_.observe(each);
  }
  output.last = now;
  output.tokens += tokens;
}

void RequestTimes::finish(Output& output, FinishReason reason, TimePoint now) {
  output.finished = true;
  --unfinished_;
  const bool is_whole = reason == FinishReason::stop || reason == FinishReason::length;
  if (!is_whole) {
    metrics_->finishes_[reason == FinishReason::cancelled ? 2 : 3].increment();
    return;
  }
  metrics_->finishes_[reason == FinishReason::stop ? 0 : 1].increment();
  if (output.tokens > 0) {
    const double decode = seconds(output.last - output.first);
    metrics_->decode_time_.observe(decode);
    if (output.tokens > 1) {
      metrics_->time_per_output_token_.observe(decode / static_cast<double>(output.tokens - 1));
    }
  }
  if (unfinished_ == 0) metrics_->whole_time_.observe(seconds(now - submitted_));
}

void RequestTimes::end() {
  for (Output& output : outputs_) {
    if (!output.finished) finish(output, FinishReason::cancelled, {});
  }
}

}  // namespace octavo::server
