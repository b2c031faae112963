#include "cli/bench_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "backend/create_backend.h"
#include "base/error.h"
#include "cli/engine_options.h"
#include "engine/request_json.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

struct Arrival {
  size_t request = 0;
  double at_s = 0;
};

// For which requests something came, and when: filled by the engine's thread.
class Arrivals {
 public:
  double now_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  void add(size_t request) {
    const std::lock_guard lock(mutex_);
    arrivals_.push_back({request, now_s()});
    arrived_.notify_one();
  }

  // Waits for some.
  std::vector<Arrival> take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !arrivals_.empty(); });
    return std::exchange(arrivals_, {});
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Arrival> arrivals_;
};

// Events that were not read yet are joined into one: its first token came at `arrived_s`, its last
// one by `now_s`.
void note(RequestRecord& record, const Event& event, double arrived_s, double now_s) {
  if (event.prompt) record.cached_tokens = event.prompt->cached_tokens;
  if (event.tokens.empty()) return;
  if (record.output_tokens == 0) {
    record.first_s = arrived_s;
  } else {
    record.gaps_s.push_back(now_s - record.last_s);
  }
  record.last_s = now_s;
  record.output_tokens += std::ssize(event.tokens);
}

Result<std::unique_ptr<Stream>> submit(Engine& engine, const PlannedRequest& planned) {
  Request request;
  request.prompt = planned.prompt;
  request.sampling.temperature = 0;
  request.sampling.max_tokens = planned.output_tokens;
  request.sampling.ignore_eos = true;
  return engine.submit(std::move(request));
}

}  // namespace

nlohmann::ordered_json BenchSubject::to_json() const {
  return {{"model", engine->model().path},
          {"name", engine->model().name},
          {"backend", engine->model().backend},
          {"weight_bytes_per_step", cost.weight_bytes},
          {"probe",
           {{"copy_bytes_per_second", probe.copy_bytes_per_s},
            {"product_operations_per_second", probe.product_operations_per_s}}}};
}

std::string BenchSubject::format() const {
  return fmt::format(
      "{}: {} on {}\n{:.2f} GB of weights; the device copies {:.1f} GB/s and "
      "multiplies BF16 matrices with {:.1f} GFLOP/s\n",
      engine->model().path, engine->model().name, engine->model().backend, cost.weight_bytes / 1e9,
      probe.copy_bytes_per_s / 1e9, probe.product_operations_per_s / 1e9);
}

Result<BenchSubject> start_subject(EngineConfig config, int64_t requests) {
  apply_environment(config);
  BenchSubject subject;
  OCTAVO_ASSIGN(const gguf::File file, gguf::open_model(config.model_path));
  OCTAVO_ASSIGN(const DType type, kv_type(config.kv_dtype));
  OCTAVO_ASSIGN(subject.cost, read_model_cost(file, type));
  {
    OCTAVO_ASSIGN(const auto backend, create_backend({.device = config.device,
                                                      .instruction_set = config.instruction_set,
                                                      .threads = static_cast<int>(config.threads),
                                                      .deterministic = config.deterministic}));
    OCTAVO_ASSIGN(subject.probe, probe_device(*backend));
  }
  config.max_queued = std::max(config.max_queued, requests);
  OCTAVO_ASSIGN(subject.engine, Engine::create(config));
  return subject;
}

std::vector<RequestRecord> run_requests(Engine& engine, const std::vector<PlannedRequest>& plan) {
  std::vector<RequestRecord> records(plan.size());
  Arrivals arrivals;
  std::vector<std::unique_ptr<Stream>> streams(plan.size());  // gone before what they report to
  size_t unfinished = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    records[i].asked_s = arrivals.now_s();
    auto stream = submit(engine, plan[i]);
    if (!stream) {
      records[i].error = stream.error().message;
      continue;
    }
    records[i].prompt_tokens = std::ssize(plan[i].prompt);
    streams[i] = std::move(*stream);
    streams[i]->on_event([&arrivals, i] { arrivals.add(i); });
    ++unfinished;
  }
  while (unfinished > 0) {
    for (const auto& [i, at_s] : arrivals.take()) {
      while (const auto event = streams[i]->try_next()) {
        note(records[i], *event, at_s, arrivals.now_s());
        if (event->finish == FinishReason::none) continue;
        --unfinished;
        if (event->finish == FinishReason::cancelled) records[i].error = "it was cancelled";
        if (event->finish == FinishReason::no_memory) records[i].error = kNoMemoryMessage;
      }
    }
  }
  return records;
}

Result<void> check_all_answered(const std::vector<RequestRecord>& records) {
  for (const RequestRecord& record : records) {
    if (!record.ok()) return invalid_input("a request failed: {}", record.error);
  }
  return {};
}

}  // namespace octavo::cli
