#include "backend/cuda/device_sampler.h"

#include <algorithm>

#include "backend/cuda/check_cuda.h"
#include "backend/random.h"

namespace octavo::cuda {
namespace {

// Addresses cost nothing: far more rows than a step has.
constexpr size_t kMostRows = size_t{1} << 26;

// Whether the device can draw the token: what it cannot is drawn on the host, from the row's
// logits.
bool is_drawn_on_device(const SampleRow& row) {
  const SamplingParams& params = *row.params;
  return row.forced < 0 && row.banned.size() <= static_cast<size_t>(kMostBanned) &&
         params.logit_bias.empty() && params.logprobs < 0 && params.typical_p >= 1.0F &&
         params.repetition_penalty == 1.0F && params.frequency_penalty == 0.0F &&
         params.presence_penalty == 0.0F;
}

SampleRequest request_for(const SampleRow& row, size_t place) {
  SampleRequest request = {};
  request.uniform = uniform_draw(row.seed, row.output_index, row.position, 0);
  request.temperature = row.params->temperature;
  request.top_p = row.params->top_p;
  request.min_p = row.params->min_p;
  request.top_k = row.params->top_k;
  request.logits_row = row.logits_row;
  request.place = static_cast<int32_t>(place);
  request.banned_count = static_cast<int32_t>(row.banned.size());
  std::copy(row.banned.begin(), row.banned.end(), request.banned);
  return request;
}

template <class T>
T required(Result<T> result) {
  OCTAVO_CHECK(result.ok(), "results of a draw: {}", result.error().message);
  return std::move(result).value();
}

}  // namespace

Result<std::unique_ptr<DeviceSampler>> DeviceSampler::create(cudaStream_t stream,
                                                             size_t first_array, ThreadPool& pool) {
  OCTAVO_ASSIGN(ReservedMemory tokens, ReservedMemory::create(kMostRows * sizeof(int32_t), 1));
  return std::unique_ptr<DeviceSampler>(
      new DeviceSampler(stream, first_array, pool, std::move(tokens)));
}

DeviceSampler::DeviceSampler(cudaStream_t stream, size_t first_array, ThreadPool& pool,
                             ReservedMemory tokens)
    : stream_(stream),
      first_array_(first_array),
      pool_(pool),
      tokens_(std::move(tokens)),
      sampler_scratch_(static_cast<size_t>(pool.size())) {
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
  Draw& draw = draws_[launched_++ % kMostOutstanding];
  draw.rows.assign(rows.begin(), rows.end());
  draw.allowed.assign(allowed.begin(), allowed.end());
  draw.on_device.clear();
  draw.on_host.clear();
  draw.vocabulary = static_cast<size_t>(logits.columns);
  std::vector<SampleRequest> requests;
  for (size_t i = 0; i < rows.size(); ++i) {
    OCTAVO_CHECK(rows[i].logits_row >= 0 && rows[i].logits_row < logits.rows);
    const bool draws = allowed.empty() && is_drawn_on_device(rows[i]);
    if (draws) requests.push_back(request_for(rows[i], i));
    (draws ? draw.on_device : draw.on_host).push_back(i);
  }
  note(logits, requests, step);
  step.tape.run(step.repeats);
  fetch(logits, draw);
  OCTAVO_CUDA(cudaEventRecord(draw.done, stream_));
}

void DeviceSampler::note(Tensor logits, std::span<const SampleRequest> requests, const Step& step) {
  if (requests.empty()) return;
  static_assert(sizeof(SampleRequest) % sizeof(int32_t) == 0);
  const auto* sent = reinterpret_cast<const SampleRequest*>(
      step.arrays.send(first_array_, {reinterpret_cast<const int32_t*>(requests.data()),
                                      requests.size_bytes() / sizeof(int32_t)}));
  const auto count = static_cast<int64_t>(requests.size());
  auto* tokens = reinterpret_cast<int32_t*>(tokens_.data());
  if (std::all_of(requests.begin(), requests.end(),
                  [](const SampleRequest& request) { return request.temperature == 0.0F; })) {
    auto* best = step.scratch.take<unsigned long long>(requests.size());
    step.tape.add(launch_greedy,
                  GreedyArgs{tokens, best, logits.data, sent, logits.columns, count});
  } else {
    step.tape.add(launch_sample, SampleArgs{tokens, logits.data, sent, logits.columns, count});
  }
}

void DeviceSampler::fetch(Tensor logits, Draw& draw) {
  const size_t token_bytes = draw.rows.size() * sizeof(int32_t);
  const size_t row_bytes = draw.vocabulary * sizeof(float);
  const size_t bytes = token_bytes + draw.on_host.size() * row_bytes;
  if (draw.results.bytes() < bytes) draw.results = required(PinnedBuffer::create(2 * bytes));
  std::byte* to = draw.results.data();
  const auto copy = [&](const void* from, size_t count) {
    if (count == 0) return;
    OCTAVO_CUDA(cudaMemcpyAsync(to, from, count, cudaMemcpyDeviceToHost, stream_));
    to += count;
  };
  copy(tokens_.data(), token_bytes);
  for (const size_t i : draw.on_host) {
    copy(logits.data + draw.rows[i].logits_row * logits.columns, row_bytes);
  }
}

void DeviceSampler::collect(std::span<SampledToken> out) {
  OCTAVO_CHECK(launched_ > collected_, "no draw to collect");
  Draw& draw = draws_[collected_++ % kMostOutstanding];
  OCTAVO_CHECK(out.size() == draw.rows.size(), "{} results of {} rows", out.size(),
               draw.rows.size());
  OCTAVO_CUDA(cudaEventSynchronize(draw.done));
  const auto* drawn = reinterpret_cast<const int32_t*>(draw.results.data());
  for (const size_t i : draw.on_device) out[i] = {.token = drawn[i]};
  draw_on_host(draw, out);
}

void DeviceSampler::draw_on_host(Draw& draw, std::span<SampledToken> out) {
  const auto* logits = reinterpret_cast<const float*>(draw.results.data()) + draw.rows.size();
  const size_t words = (draw.vocabulary + 31) / 32;
  const size_t workers = std::min(draw.on_host.size(), sampler_scratch_.size());
  pool_.parallel_for(workers, [&](size_t worker) {
    for (size_t i = worker; i < draw.on_host.size(); i += workers) {
      const size_t index = draw.on_host[i];
      const std::span<const uint32_t> all = draw.allowed;
      const auto mask = all.empty() ? all : all.subspan(index * words, words);
      out[index] = sample_row({logits + i * draw.vocabulary, draw.vocabulary}, draw.rows[index],
                              mask, sampler_scratch_[worker]);
    }
  });
  // What the next step finds on the device.
  for (const size_t i : draw.on_host) {
    OCTAVO_CUDA(cudaMemcpyAsync(tokens_.data() + i * sizeof(int32_t), &out[i].token,
                                sizeof(int32_t), cudaMemcpyHostToDevice, stream_));
  }
  if (!draw.on_host.empty()) OCTAVO_CUDA(cudaStreamSynchronize(stream_));
}

}  // namespace octavo::cuda
