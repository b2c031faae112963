#include "server/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace octavo::server {
namespace {

using Family = prometheus::MetricFamily;
using prometheus::MetricType;

// Bounds of the buckets for all times, in seconds: three for each power of ten.
const std::vector<double> kSeconds = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1,
                                      2,     5,     10,    20,   50,   100,  200, 500, 1000};

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
  }
  return "bad_input";
}

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

// What the engine knows, as families of metrics. Prometheus' own objects count by adding; these are
// read whole.
class EngineFamilies {
 public:
  void gauge(const char* name, const char* help, double value) {
    add(MetricType::Gauge, name, help).gauge.value = value;
  }
  void counter(const char* name, const char* help, int64_t value) {
    add(MetricType::Counter, name, help).counter.value = static_cast<double>(value);
  }
  // One more value of the family that was added last.
  void gauge_with(const char* label, const char* label_value, int64_t value) {
    prometheus::ClientMetric metric;
    metric.label = {{label, label_value}};
    metric.gauge.value = static_cast<double>(value);
    families_.back().metric.push_back(std::move(metric));
  }
  void labelled_gauges(const char* name, const char* help) {
    families_.push_back({name, help, MetricType::Gauge, {}});
  }
  std::vector<Family> take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& add(MetricType type, const char* name, const char* help) {
    families_.push_back({name, help, type, {{}}});
    return families_.back().metric.front();
  }

  std::vector<Family> families_;
};

std::vector<Family> families_of(const EngineStats& stats) {
  EngineFamilies all;
  all.gauge("octavo:num_requests_running", "Outputs in the running batch.",
            static_cast<double>(stats.running));
  all.gauge("octavo:num_requests_waiting", "Requests that have not started.",
            static_cast<double>(stats.waiting));
  all.gauge("octavo:num_requests_swapped", "Outputs that were preempted and wait to go on.",
            static_cast<double>(stats.preempted));
  const auto total = static_cast<double>(std::max<int64_t>(stats.blocks_total, 1));
  all.gauge("octavo:kv_cache_usage_perc", "KV cache blocks in use; 1: all of them.",
            static_cast<double>(stats.blocks_in_use) / total);
  all.labelled_gauges("octavo:kv_cache_blocks", "KV cache blocks by state.");
  all.gauge_with("state", "in_use", stats.blocks_in_use);
  all.gauge_with("state", "cached", stats.blocks_cached);
  all.gauge_with("state", "free", stats.blocks_free);
  all.gauge_with("state", "uncommitted", stats.blocks_uncommitted);
  all.gauge("octavo:kv_cache_blocks_shared", "Blocks in use by two outputs or more.",
            static_cast<double>(stats.blocks_shared));
  all.gauge("octavo:kv_cache_block_bytes", "Bytes of a block.",
            static_cast<double>(stats.block_bytes));
  all.gauge("octavo:kv_host_blocks", "Blocks in the host tier.",
            static_cast<double>(stats.host_blocks_used));
  all.gauge("octavo:kv_disk_blocks", "Blocks in the disk tier.",
            static_cast<double>(stats.disk_blocks));
  all.counter("octavo:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
              stats.prefix_query_tokens);
  all.counter("octavo:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.",
              stats.prefix_hit_tokens);
  all.counter("octavo:prompt_tokens_total", "Prompt tokens computed.", stats.prompt_tokens);
  all.counter("octavo:generation_tokens_total", "Tokens generated.", stats.generated_tokens);
  all.counter("octavo:num_preemptions_total", "Preemptions of outputs.", stats.preemptions);
  all.counter("octavo:engine_steps_total", "Forward passes.", stats.steps);
  all.counter("octavo:kv_evictions_total", "Cached blocks taken for something else.",
              stats.evictions);
  return all.take();
}

}  // namespace

prometheus::Histogram& Metrics::histogram(const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add({}, kSeconds);
}

Metrics::Metrics()
    : time_to_first_token_(histogram("octavo:time_to_first_token_seconds",
                                     "From a request's arrival to its first token.")),
      inter_token_latency_(
          histogram("octavo:inter_token_latency_seconds", "From a token to the next.")),
      time_per_output_token_(histogram("octavo:request_time_per_output_token_seconds",
                                       "Mean time from token to token of an output.")),
      whole_time_(histogram("octavo:e2e_request_latency_seconds",
                            "From a request's arrival to its last token.")),
      queue_time_(histogram("octavo:request_queue_time_seconds",
                            "From a request's arrival to the first step with its prompt.")),
      prefill_time_(histogram("octavo:request_prefill_time_seconds",
                              "From the first step with a request's prompt to its first token.")),
      decode_time_(histogram("octavo:request_decode_time_seconds",
                             "From an output's first token to its last.")) {
  auto& rejected = prometheus::BuildCounter()
                       .Name("octavo:request_rejected_total")
                       .Help("Requests that were not served, by reason.")
                       .Register(registry_);
  for (size_t i = 0; i < kRejections; ++i) {
    rejections_[i] = &rejected.Add({{"reason", name_of(static_cast<Rejection>(i))}});
  }
  auto& finished = prometheus::BuildCounter()
                       .Name("octavo:request_success_total")
                       .Help(
                           "Outputs that ended, by reason; abort: the client went away, or the "
                           "server went down.")
                       .Register(registry_);
  const std::array<const char*, kFinishes> reasons = {"stop", "length", "abort"};
  for (size_t i = 0; i < kFinishes; ++i) {
    finishes_[i] = &finished.Add({{"finished_reason", reasons[i]}});
  }
}

void Metrics::count_rejection(Rejection reason) {
  rejections_[static_cast<size_t>(reason)]->Increment();
}

std::string Metrics::scrape(const EngineStats& stats) const {
  std::vector<Family> families = families_of(stats);
  std::vector<Family> gathered = registry_.Collect();
  std::move(gathered.begin(), gathered.end(), std::back_inserter(families));
  return prometheus::TextSerializer().Serialize(families);
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
    metrics_->queue_time_.Observe(queued);
    begun_ = std::min(now, submitted_ + std::chrono::duration_cast<TimePoint::duration>(
                                            std::chrono::duration<double>(queued)));
  }
  Output& output = outputs_[static_cast<size_t>(event.output)];
  if (!event.tokens.empty()) add_tokens(output, static_cast<int64_t>(event.tokens.size()), now);
  if (event.finish != FinishReason::none) finish(output, event.finish, now);
}

void RequestTimes::add_tokens(Output& output, int64_t tokens, TimePoint now) {
  if (!std::exchange(has_tokens_, true)) {
    metrics_->time_to_first_token_.Observe(seconds(now - submitted_));
    metrics_->prefill_time_.Observe(seconds(now - begun_));
  }
  if (output.tokens == 0) {
    output.first = now;
  } else {
    // A reader that was away finds several tokens at once.
    const double each = seconds(now - output.last) / static_cast<double>(tokens);
    for (int64_t i = 0; i < tokens; ++i) metrics_->inter_token_latency_.Observe(each);
  }
  output.last = now;
  output.tokens += tokens;
}

void RequestTimes::finish(Output& output, FinishReason reason, TimePoint now) {
  output.finished = true;
  --unfinished_;
  if (reason == FinishReason::cancelled) {
    metrics_->finishes_[2]->Increment();
    return;
  }
  metrics_->finishes_[reason == FinishReason::stop ? 0 : 1]->Increment();
  if (output.tokens > 0) {
    const double decode = seconds(output.last - output.first);
    metrics_->decode_time_.Observe(decode);
    if (output.tokens > 1) {
      metrics_->time_per_output_token_.Observe(decode / static_cast<double>(output.tokens - 1));
    }
  }
  if (unfinished_ == 0) metrics_->whole_time_.Observe(seconds(now - submitted_));
}

void RequestTimes::end() {
  for (Output& output : outputs_) {
    if (!output.finished) finish(output, FinishReason::cancelled, {});
  }
}

}  // namespace octavo::server
