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

// The last unit of the tokens that hold this share of a mass.
__device__ Mass last_of_share(float share, Mass all) {
  const double mass = static_cast<double>(share) * static_cast<double>(all);
  return mass > 1.0 ? static_cast<Mass>(ceil(mass)) - 1 : 0;
}

__device__ Mass target_of(double uniform, Mass all) {
  return min(static_cast<Mass>(uniform * static_cast<double>(all)), all - 1);
}

__device__ Mass can_be_drawn(float logit) {
  return logit > -INFINITY ? 1 : 0;
}

// What is left to draw from: the tokens that come first in descending order, with this mass.
__device__ Mass kept_mass(const LogitRow& row, const SampleRequest& request, bool& in_order) {
  const LogitRow::ByLogit order{row};
  const auto weight = [&row](float logit, int) { return row.weight(logit); };
  Mass kept = row.sum(weight);
  in_order = true;
  if (request.top_k > 0 && request.top_k < row.vocabulary()) {
    const auto last = row.cross(order, static_cast<Mass>(request.top_k - 1),
                                [](float logit, int) { return can_be_drawn(logit); });
    if (last.all > static_cast<Mass>(request.top_k)) {
      in_order = false;
      const Mass above = row.sum([&](float logit, int) -> Mass {
        return key_of(logit) > last.key ? row.weight(logit) : 0;
      });
      const Mass equal = static_cast<Mass>(request.top_k) - last.above;
      kept = min(kept, above + equal * row.weight(logit_of(last.key)));
    }
  }
  if (request.top_p < 1.0F) {
    in_order = false;
    // With the token at which the sum reaches the mass.
    const Mass target = last_of_share(request.top_p, kept);
    const auto last = row.cross(order, target, weight);
    const Mass each = row.weight(logit_of(last.key));
    if (each > 0) kept = min(kept, last.above + ((target - last.above) / each + 1) * each);
  }
  if (request.min_p > 0.0F) {
    const auto least = static_cast<Mass>(request.min_p * kWeightOne);
    kept = min(kept, row.sum([&](float logit, int) -> Mass {
      const Mass own = row.weight(logit);
      return own >= least ? own : 0;
    }));
  }
  return kept;
}

// Of a row in which something can be drawn.
__device__ int draw(const LogitRow& row, const SampleRequest& request) {
  bool in_order = true;
  const Mass kept = kept_mass(row, request, in_order);
  const Mass target = target_of(request.uniform, kept);
  if (in_order) {
    const auto least = static_cast<Mass>(request.min_p * kWeightOne);
    return row.token_in_order(target, [&](float logit, int) -> Mass {
      const Mass own = row.weight(logit);
      return own >= least ? own : 0;
    });
  }
  const auto drawn = row.cross(LogitRow::ByLogit{row}, target,
                               [&](float logit, int) { return row.weight(logit); });
  return row.token_with_key(drawn.key, target - drawn.above, row.weight(logit_of(drawn.key)));
}

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

// The key in an order and the token at which the kept mass reaches beyond `target`.
template <class Order>
__device__ int token_at(const LogitRow& row, const Kept& kept, const Order& order, Mass target,
                        typename Order::Key& key) {
  const auto weight = [&](float logit, int token) { return kept.weight(row, logit, token); };
  const auto last = row.cross(order, target, weight);
  key = last.key;
  return row.token_in_order(target - last.above, [&](float logit, int token) -> Mass {
    return order.key(logit) == last.key ? weight(logit, token) : 0;
  });
}

// The expected number of temperatures that a drawn token is below the greatest logit.
__device__ double expected_below(const LogitRow& row, const Kept& kept) {
  const auto weigh = [&](float logit, int token, bool times_below) {
    if (!(logit > -INFINITY) || !kept.has(logit, token)) return 0.0;
    const double below = kept.by_distance.below(logit);
    return exp(-below) * (times_below ? below : 1.0);
  };
  const double sum = row.double_sum([&](float x, int token) { return weigh(x, token, false); });
  return row.double_sum([&](float x, int token) { return weigh(x, token, true); }) / sum;
}

// The same for typical_p: a token's surprise differs from the entropy by as much as the logit from
// its expectation, in temperatures.
__device__ int draw_typical(LogitRow& row, const SampleRequest& request) {
  const LogitRow::ByLogit by_logit{row};
  Kept kept;
  const auto mass = [&] {
    return row.sum([&](float logit, int token) { return kept.weight(row, logit, token); });
  };
  if (request.top_k > 0 && request.top_k < row.vocabulary()) {
    const auto count = [](float logit, int) { return can_be_drawn(logit); };
    const auto last = row.cross(by_logit, static_cast<Mass>(request.top_k - 1), count);
    if (last.all > static_cast<Mass>(request.top_k)) {
      kept.token =
          row.token_with_key(last.key, static_cast<Mass>(request.top_k - 1) - last.above, 1);
      kept.key = last.key;
    }
  }
  kept.by_distance.top = static_cast<double>(row.greatest());
  kept.by_distance.steepness = 1.0 / static_cast<double>(row.temperature());
  kept.by_distance.middle = expected_below(row, kept);
  Mass distance_key = 0;
  kept.distance_token =
      token_at(row, kept, kept.by_distance, last_of_share(request.typical_p, mass()), distance_key);
  kept.distance_key = distance_key;
  // The greatest may be gone.
  row.set_greatest(
      row.greatest_where([&](float logit, int token) { return kept.has(logit, token); }));
  if (request.top_p < 1.0F) {
    uint32_t key = 0;
    kept.token = token_at(row, kept, by_logit, last_of_share(request.top_p, mass()), key);
    kept.key = key;
  }
  kept.least = static_cast<Mass>(request.min_p * kWeightOne);
  const Mass target = target_of(request.uniform, mass());
  if (request.top_p < 1.0F) {
    uint32_t key = 0;
    return token_at(row, kept, by_logit, target, key);
  }
  return token_at(row, kept, kept.by_distance, target, distance_key);
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
template <bool is_typical>
__global__ void __launch_bounds__(kRowThreads) sample(SampleArgs args) {
  follow_previous();
  __shared__ RowShared shared;
  const SampleRequest request = args.requests[blockIdx.x];
  LogitRow row(row_of(args, request), args.vocabulary, kGreatestFloat, request.temperature, shared);
  const float greatest = row.greatest_where([](float, int) { return true; });
  row.set_greatest(greatest);
  int token = 0;
  if (request.temperature == 0.0F || greatest == -INFINITY) {
    token = row.token_with_key(key_of(greatest), 0, 1);
  } else if constexpr (is_typical) {
    token = draw_typical(row, request);
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
  launch(sample<false>, blocks_of(args.count, 1), kRowThreads, args, stream);
}

void launch_sample_typical(const SampleArgs& args, cudaStream_t stream) {
  launch(sample<true>, blocks_of(args.count, 1), kRowThreads, args, stream);
}

void launch_forced(const SampleArgs& args, cudaStream_t stream) {
  launch(write_forced, blocks_of(args.count, kGreedyThreads), kGreedyThreads, args, stream);
}

}  // namespace octavo::cuda
