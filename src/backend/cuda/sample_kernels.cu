#include "backend/cuda/sample_kernels.h"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/sample_row.cuh"

namespace octavo::cuda {
namespace {

constexpr int kGreedyThreads = 256;

__device__ const float* row_of(const SampleArgs& args, const SampleRequest& request) {
  return request.row >= 0 ? args.logits + request.row * args.vocabulary
                          : args.adjusted + ~request.row * args.vocabulary;
}

// The last unit of the tokens that hold a share of the mass.
struct LastOfShare {
  float share;
  __device__ Mass operator()(Mass all) const {
    const double mass = static_cast<double>(share) * static_cast<double>(all);
    return mass > 1.0 ? static_cast<Mass>(ceil(mass)) - 1 : 0;
  }
};

// What the filters have left of a row: tokens up to one in descending order of the logits and up to
// one in order of the distance, of at least a weight.
struct Kept {
  LogitRow::ByDistance by_distance = {};
  Mass distance_key = 0;
  int distance_token = 0x7FFFFFFF;
  uint32_t key = 0;
  int token = 0x7FFFFFFF;
  Mass least = 0;

  __device__ bool has(float logit, int at) const {
    const uint32_t own = key_of(logit);
    if (own < key || (own == key && at > token)) return false;
    if (distance_key == 0) return true;
    const Mass near = by_distance.key(logit);
    return near > distance_key || (near == distance_key && at <= distance_token);
  }
  __device__ Mass weight(const LogitRow& row, float logit, int at) const {
    if (!has(logit, at)) return 0;
    const Mass own = row.weight(logit);
    return own >= least ? own : 0;
  }
};

template <class Key>
struct Place {
  Key key;
  int token;
};
// Where the sum of value(logit, token) in an order reaches beyond the target; equal keys in
// ascending order of the tokens.
template <class Order, class Target, class Value>
__device__ Place<typename Order::Key> place_of(LogitRow& row, const Order& order,
                                               const Target& target, const Value& value) {
  const auto last = row.cross(order, target, value);
  const int token = row.token_in_order([&](Mass) { return last.rest; },
                                       [&](float logit, int at) -> Mass {
                                         return order.key(logit) == last.key ? value(logit, at) : 0;
                                       });
  return {last.key, token};
}

// Says whether there are more tokens than that.
__device__ bool keep_top_k(LogitRow& row, int32_t count, Kept& kept) {
  const LogitRow::ByLogit order{row};
  const auto one = [](float logit, int) -> Mass { return logit > -INFINITY ? 1 : 0; };
  const auto last = row.cross(
      order, [count](Mass) { return static_cast<Mass>(count - 1); }, one);
  if (last.all <= static_cast<Mass>(count)) return false;
  kept.token = row.token_in_order(
      [&](Mass) { return last.rest; },
      [&](float logit, int) -> Mass { return key_of(logit) == last.key ? 1 : 0; });
  kept.key = last.key;
  return true;
}

// A token's surprise differs from the entropy by as much as its logit from the expected one, in
// temperatures.
__device__ void keep_typical(LogitRow& row, float share, Kept& kept) {
  kept.by_distance.top = static_cast<double>(row.greatest());
  kept.by_distance.steepness = 1.0 / static_cast<double>(row.temperature());
  const auto below = [&](float logit) { return kept.by_distance.below(logit); };
  kept.by_distance.middle = row.mean(below, [&](float logit, int token) {
    return kept.has(logit, token) ? exp(-below(logit)) : 0.0;
  });
  const auto last =
      place_of(row, kept.by_distance, LastOfShare{share},
               [&](float logit, int token) { return kept.weight(row, logit, token); });
  kept.distance_token = last.token;
  kept.distance_key = last.key;
  // The greatest may be gone.
  row.set_greatest(
      row.greatest_where([&](float logit, int token) { return kept.has(logit, token); }));
}

// Of a row in which something can be drawn. The draw goes through the tokens in the order in which
// the last filter went through them.
__device__ int draw(LogitRow& row, const SampleRequest& request) {
  const LogitRow::ByLogit by_logit{row};
  Kept kept;
  const auto weight = [&](float logit, int token) { return kept.weight(row, logit, token); };
  const bool is_cut =
      request.top_k > 0 && request.top_k < row.size() && keep_top_k(row, request.top_k, kept);
  if (request.typical_p < 1.0F) keep_typical(row, request.typical_p, kept);
  if (request.top_p < 1.0F) {
    const auto last = place_of(row, by_logit, LastOfShare{request.top_p}, weight);
    kept.token = last.token;
    kept.key = last.key;
  }
  const auto least = static_cast<Mass>(request.min_p * kWeightOne);
  kept.least = least;
  const auto target = [&](Mass all) {
    return min(static_cast<Mass>(request.uniform * static_cast<double>(all)), all - 1);
  };
  if (request.top_p < 1.0F || (is_cut && !(request.typical_p < 1.0F))) {
    return place_of(row, by_logit, target, weight).token;
  }
  if (request.typical_p < 1.0F) return place_of(row, kept.by_distance, target, weight).token;
  return row.token_in_order(target, [&](float logit, int) -> Mass {
    const Mass own = row.weight(logit);
    return own >= least ? own : 0;
  });
}

__global__ void clear_best(GreedyArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < args.sample.count) args.best[i] = 0;
}

// A request is shared by gridDim.y blocks.
__global__ void __launch_bounds__(kGreedyThreads) find_best(GreedyArgs args) {
  follow_previous();
  const float* logits = row_of(args.sample, args.sample.requests[blockIdx.x]);
  const auto vocabulary = static_cast<int>(args.sample.vocabulary);
  Mass best = 0;
  const auto step = static_cast<int>(gridDim.y) * kGreedyThreads;
  for (int token = static_cast<int>(blockIdx.y) * kGreedyThreads + static_cast<int>(threadIdx.x);
       token < vocabulary; token += step) {
    best = max(best, key_and_token(key_of(LogitRow::clean(logits[token], kGreatestFloat)), token));
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    best = max(best, __shfl_xor_sync(kAllLanes, best, offset));
  }
  if (threadIdx.x % kWarp == 0) atomicMax(args.best + blockIdx.x, best);
}

__global__ void write_best(GreedyArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < args.sample.count) {
    args.sample.out[args.sample.requests[i].place] = token_of(args.best[i]);
  }
}

// A block has a request.
__global__ void __launch_bounds__(kRowThreads) sample(SampleArgs args) {
  follow_previous();
  __shared__ RowShared shared;
  const SampleRequest request = args.requests[blockIdx.x];
  LogitRow row(row_of(args, request), args.vocabulary, kGreatestFloat, request.temperature, shared);
  const float greatest = row.greatest_where([](float, int) { return true; });
  row.set_greatest(greatest);
  int token = 0;
  if (request.temperature == 0.0F || greatest == -INFINITY) {
    token = row.token_in_order([](Mass) { return Mass{0}; },
                               [&](float logit, int) -> Mass { return logit == greatest ? 1 : 0; });
  } else {
    token = draw(row, request);
  }
  if (threadIdx.x == 0) args.out[request.place] = token;
}

__global__ void write_forced(SampleArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < args.count) args.out[args.requests[i].place] = args.requests[i].forced;
}

}  // namespace

void launch_greedy(const GreedyArgs& args, cudaStream_t stream) {
  constexpr int64_t kBlocksEach = 16;
  const int64_t count = args.sample.count;
  launch(clear_best, blocks_of(count, kGreedyThreads), kGreedyThreads, args, stream);
  launch(find_best, dim3(static_cast<unsigned int>(count), kBlocksEach), kGreedyThreads, args,
         stream);
  launch(write_best, blocks_of(count, kGreedyThreads), kGreedyThreads, args, stream);
}

void launch_sample(const SampleArgs& args, cudaStream_t stream) {
  launch(sample, blocks_of(args.count, 1), kRowThreads, args, stream);
}

void launch_forced(const SampleArgs& args, cudaStream_t stream) {
  launch(write_forced, blocks_of(args.count, kGreedyThreads), kGreedyThreads, args, stream);
}

}  // namespace octavo::cuda
