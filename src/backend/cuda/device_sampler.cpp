#include "backend/cuda/device_sampler.h"

#include <algorithm>
#include <utility>

#include "backend/cuda/check_cuda.h"

namespace octavo::cuda {
namespace {

// Addresses cost nothing: far more rows than a step has.
constexpr size_t kMostRows = size_t{1} << 26;

// The sampler's arrays of a step.
enum Array : size_t { kRequests, kAdjusts, kEdits, kMasks, kLogprobs };
static_assert(kLogprobs + 1 == DeviceSampler::kArrays);

// Sends values that consist of 32-bit words.
template <class T>
const T* send(StepArrays& arrays, size_t index, std::span<const T> values) {
  static_assert(sizeof(T) % sizeof(int32_t) == 0);
  return reinterpret_cast<const T*>(arrays.send(
      index,
      {reinterpret_cast<const int32_t*>(values.data()), values.size_bytes() / sizeof(int32_t)}));
}
template <class T>
const T* send(StepArrays& arrays, size_t index, const std::vector<T>& values) {
  return send(arrays, index, std::span<const T>(values));
}

}  // namespace

Result<std::unique_ptr<DeviceSampler>> DeviceSampler::create(cudaStream_t stream,
                                                             size_t first_array) {
  OCTAVO_ASSIGN(ReservedMemory tokens, ReservedMemory::create(kMostRows * sizeof(int32_t), 1));
  return std::unique_ptr<DeviceSampler>(new DeviceSampler(stream, first_array, std::move(tokens)));
}

DeviceSampler::DeviceSampler(cudaStream_t stream, size_t first_array, ReservedMemory tokens)
    : stream_(stream), first_array_(first_array), tokens_(std::move(tokens)) {
  for (Draw& draw : draws_) {
    OCTAVO_CUDA(cudaEventCreateWithFlags(&draw.done, cudaEventDisableTiming));
  }
}

DeviceSampler::~DeviceSampler() {
  for (const Draw& draw : draws_) OCTAVO_CUDA(cudaEventDestroy(draw.done));
}

void DeviceSampler::launch(Tensor logits, std::span<const SampleRow> rows,
                           std::span<const uint32_t> allowed, const Step& step) {
  OCTAVO_CHECK(launched_ - collected_ < kMostOutstanding, "a draw that nobody collects");
  OCTAVO_CHECK(rows.size() <= kMostRows, "{} rows", rows.size());
  const size_t words = (static_cast<size_t>(logits.columns) + 31) / 32;
  OCTAVO_CHECK(allowed.empty() || allowed.size() == rows.size() * words, "{} mask words of {}",
               allowed.size(), rows.size() * words);
  const Result<void> committed = tokens_.commit(0, rows.size() * sizeof(int32_t));
  OCTAVO_CHECK(committed.ok(), "sampled tokens: {}", committed.error().message);
  const SamplePlan& plan = planner_.plan(logits.rows, logits.columns, rows, !allowed.empty());
  // Draws of many kinds hardly come twice: they stay out of the step's list, which does (tape.h).
  const bool is_uniform = plan.is_uniform();
  if (!is_uniform) step.tape.run(step.repeats);
  const float* adjusted = note_adjust(logits, plan, allowed, step);
  note_draw(logits, adjusted, plan, step);
  const Logprobs logprobs = note_logprobs(logits, plan, step);
  step.tape.run(step.repeats && is_uniform);
  Draw& draw = draws_[launched_++ % kMostOutstanding];
  draw.rows = rows.size();
  draw.logprobs = plan.logprobs;
  fetch(draw, logprobs);
}

// Gives where the adjusted rows will be.
const float* DeviceSampler::note_adjust(Tensor logits, const SamplePlan& plan,
                                        std::span<const uint32_t> allowed, const Step& step) {
  if (plan.adjusts.empty()) return nullptr;
  AdjustArgs args = {};
  args.logits = logits.data;
  args.adjusted = step.scratch.take<float>(static_cast<size_t>(plan.copies * logits.columns));
  args.tokens = tokens();
  args.requests = send(step.arrays, first_array_ + kAdjusts, plan.adjusts);
  args.edits = send(step.arrays, first_array_ + kEdits, plan.edits);
  args.masks = send(step.arrays, first_array_ + kMasks, allowed);
  args.vocabulary = logits.columns;
  args.count = std::ssize(plan.adjusts);
  args.has_sweeps = plan.has_sweeps ? 1 : 0;
  step.tape.add(launch_adjust, args);
  return args.adjusted;
}

void DeviceSampler::note_draw(Tensor logits, const float* adjusted, const SamplePlan& plan,
                              const Step& step) {
  if (plan.requests.empty()) return;
  SampleArgs args = {};
  args.out = device_tokens();
  args.logits = logits.data;
  args.adjusted = adjusted;
  args.requests = send(step.arrays, first_array_ + kRequests, plan.requests);
  args.vocabulary = logits.columns;
  args.count = plan.drawn;
  if (plan.drawn > 0 && plan.is_greedy) {
    auto* best = step.scratch.take<unsigned long long>(static_cast<size_t>(plan.drawn));
    step.tape.add(launch_greedy, GreedyArgs{args, best});
  } else if (plan.drawn > 0) {
    step.tape.add(launch_sample, args);
  }
  args.requests += plan.drawn;
  args.count = plan.forced;
  if (args.count > 0) step.tape.add(launch_forced, args);
}

DeviceSampler::Logprobs DeviceSampler::note_logprobs(Tensor logits, const SamplePlan& plan,
                                                     const Step& step) {
  if (plan.logprobs.empty()) return {};
  const size_t count = plan.logprobs.size();
  const auto tops = static_cast<size_t>(plan.tops);
  const size_t bytes = count * sizeof(float) + tops * sizeof(DeviceLogprob);
  LogprobArgs args = {};
  args.logprobs = step.scratch.take<float>(bytes / sizeof(float));
  args.tops = reinterpret_cast<DeviceLogprob*>(args.logprobs + count);
  args.keys = step.scratch.take<unsigned long long>(tops);
  args.logits = logits.data;
  args.tokens = tokens();
  args.requests = send(step.arrays, first_array_ + kLogprobs, plan.logprobs);
  args.vocabulary = logits.columns;
  args.count = std::ssize(plan.logprobs);
  step.tape.add(launch_logprobs, args);
  return {args.logprobs, bytes};
}

void DeviceSampler::fetch(Draw& draw, const Logprobs& logprobs) {
  const size_t token_bytes = draw.rows * sizeof(int32_t);
  const size_t bytes = token_bytes + logprobs.bytes;
  if (draw.results.bytes() < bytes) {
    Result<PinnedBuffer> larger = PinnedBuffer::create(2 * bytes);
    OCTAVO_CHECK(larger.ok(), "results of a draw: {}", larger.error().message);
    draw.results = std::move(larger).value();
  }
  const auto copy = [this](std::byte* to, const void* from, size_t count) {
    if (count == 0) return;
    OCTAVO_CUDA(cudaMemcpyAsync(to, from, count, cudaMemcpyDeviceToHost, stream_));
  };
  copy(draw.results.data(), tokens(), token_bytes);
  copy(draw.results.data() + token_bytes, logprobs.data, logprobs.bytes);
  OCTAVO_CUDA(cudaEventRecord(draw.done, stream_));
}

void DeviceSampler::collect(std::span<SampledToken> out) {
  OCTAVO_CHECK(launched_ > collected_, "no draw to collect");
  const Draw& draw = draws_[collected_++ % kMostOutstanding];
  OCTAVO_CHECK(out.size() == draw.rows, "{} results of {} rows", out.size(), draw.rows);
  OCTAVO_CUDA(cudaEventSynchronize(draw.done));
  const auto* tokens = reinterpret_cast<const int32_t*>(draw.results.data());
  const auto* logprobs = reinterpret_cast<const float*>(tokens + draw.rows);
  const auto* tops = reinterpret_cast<const DeviceLogprob*>(logprobs + draw.logprobs.size());
  for (size_t i = 0; i < draw.rows; ++i) out[i] = {.token = tokens[i]};
  for (size_t i = 0; i < draw.logprobs.size(); ++i) {
    const LogprobRequest& request = draw.logprobs[i];
    SampledToken& token = out[static_cast<size_t>(request.place)];
    token.logprob = logprobs[i];
    token.top.reserve(static_cast<size_t>(request.top));
    for (int32_t k = 0; k < request.top; ++k) {
      const DeviceLogprob& top = tops[request.first_top + k];
      token.top.push_back({top.token, top.logprob});
    }
  }
}

}  // namespace octavo::cuda
