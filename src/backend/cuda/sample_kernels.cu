#include "backend/cuda/sample_kernels.h"

#include "backend/cuda/launch.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarp = 32;
constexpr int kWarps = kThreads / kWarp;
constexpr int kGreedyThreads = 256;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr float kWeightOne = 0x1p40F;  // of the greatest logit
constexpr double kWeightBits = 40.0;
constexpr float kWidest = 27.8F;  // in temperatures: what is farther below has weight 0
constexpr unsigned int kAllLanes = 0xFFFFFFFFU;

using Mass = unsigned long long;

__device__ Mass sum_lanes(Mass value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, offset);
  }
  return value;
}

// Up to and with the lane.
__device__ Mass sum_up_to(Mass value) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const Mass before = __shfl_up_sync(kAllLanes, value, offset);
    if (lane >= offset) value += before;
  }
  return value;
}

// Minus infinity for what cannot be drawn.
__device__ float allowed_logit(float logit, const SampleRequest& request, int token) {
  bool banned = isnan(logit);
  for (int i = 0; i < kMostBanned; ++i) {
    banned = banned || (i < request.banned_count && request.banned[i] == token);
  }
  return banned ? -INFINITY : fminf(logit, 3.402823466e38F);
}

struct Shared {
  Mass buckets[kDigits];
  Mass warps[kWarps];
  Mass found_above;
  uint32_t found;
  uint32_t least_key;
  uint32_t greatest_key;
};

// The logits of one request, as a thread block sees them. Keys are the logits as integers of the
// same order.
class Row {
 public:
  __device__ Row(const SampleArgs& args, const SampleRequest& request, Shared& shared)
      : request_(request),
        logits_(args.logits + request.logits_row * args.vocabulary),
        vocabulary_(static_cast<int>(args.vocabulary)),
        shared_(shared) {}

  __device__ int vocabulary() const { return vocabulary_; }

  __device__ float logit(int token) const { return allowed_logit(logits_[token], request_, token); }

  __device__ static uint32_t key_of(float logit) {
    const uint32_t bits = __float_as_uint(logit == 0.0F ? 0.0F : logit);
    return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  }
  __device__ static float logit_of(uint32_t key) {
    return __uint_as_float((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
  }

  // Relative to the greatest logit, which must have been set.
  __device__ Mass weight(float logit) const {
    // 2^x, of which only the part of x behind the point needs a float's precision.
    const double x = (static_cast<double>(logit) - static_cast<double>(greatest_)) * steepness_;
    if (!(x > -kWeightBits - 1.0)) return 0;
    const double whole = floor(x);
    const float fraction = exp2f(static_cast<float>(x - whole));
    return static_cast<Mass>(fraction * kWeightOne) >> static_cast<int>(-whole);
  }
  __device__ void set_greatest(float greatest) {
    constexpr double kLog2E = 1.4426950408889634;
    greatest_ = greatest;
    steepness_ = kLog2E / static_cast<double>(request_.temperature);
  }

  __device__ float greatest_logit() const {
    return logit_of(keys_where([](float) { return true; }).greatest);
  }

  // The sum of value(logit) over all tokens, the same in every thread.
  template <class Value>
  __device__ Mass sum(const Value& value) const {
    Mass total = 0;
    each([&](float logit) { total += value(logit); });
    total = sum_lanes(total);
    __syncthreads();
    if (thread() % kWarp == 0) shared_.warps[thread() / kWarp] = total;
    __syncthreads();
    total = 0;
    for (int warp = 0; warp < kWarps; ++warp) total += shared_.warps[warp];
    return total;
  }

  // Where a sum over the tokens in descending order of their logits reaches beyond `target`.
  struct Crossing {
    uint32_t key;
    Mass above;  // the sum over all greater keys
  };
  // First among ranges of equal width, then, within one, digit by digit of the keys that are there.
  // So tokens are spread over the counters, most of which would meet in the keys' first digit.
  template <class Value>
  __device__ Crossing cross(Mass target, const Value& value) const {
    clear_buckets();
    each([&](float logit) { add(kDigits - 1 - range_of(logit), value(logit)); });
    const Mass above_range = find(target);
    const int range = kDigits - 1 - static_cast<int>(shared_.found);
    Crossing crossing = {0, above_range};
    const Keys keys =
        keys_where([&](float logit) { return range_of(logit) == range && value(logit) > 0; });
    int bits = kKeyBits - __clz(static_cast<int>(keys.greatest ^ keys.least));
    crossing.key = bits < kKeyBits ? keys.greatest >> bits << bits : 0;
    while (bits > 0) {
      const int shift = max(bits - kDigitBits, 0);
      const uint32_t known = crossing.key;
      clear_buckets();
      each([&](float logit) {
        const uint32_t key = key_of(logit);
        if (range_of(logit) != range) return;
        if (bits < kKeyBits && (key ^ known) >> bits != 0) return;
        add(static_cast<int>(key >> shift & (kDigits - 1)), value(logit));
      });
      crossing.above += find(target - crossing.above);
      crossing.key |= shared_.found << shift;
      bits = shift;
    }
    return crossing;
  }

  // The token among those with this key at which the sum reaches beyond `rest`, each adding
  // `weight`: the lower come first.
  __device__ int token_with_key(uint32_t key, Mass rest, Mass weight) const {
    return token_in_order(weight > 0 ? rest / weight : 0,
                          [key](float x) -> Mass { return key_of(x) == key ? 1 : 0; });
  }

  // The token at which a sum in ascending order of the tokens reaches beyond `target`; the last one
  // that adds something where none does.
  template <class Value>
  __device__ int token_in_order(Mass target, const Value& value) const {
    const int lane = thread() % kWarp;
    const int each = (vocabulary_ + kThreads - 1) / kThreads * kWarp;  // tokens of a warp
    const int first = thread() / kWarp * each;
    const int end = min(first + each, vocabulary_);
    Mass total = 0;
    for (int token = first + lane; token < end; token += kWarp) total += value(logit(token));
    total = sum_lanes(total);
    __syncthreads();
    if (lane == 0) shared_.warps[thread() / kWarp] = total;
    if (thread() == 0) shared_.found = 0;
    __syncthreads();
    Mass before = 0;
    for (int warp = 0; warp < thread() / kWarp; ++warp) before += shared_.warps[warp];
    Mass all = before;
    for (int warp = thread() / kWarp; warp < kWarps; ++warp) all += shared_.warps[warp];
    if (target >= all && all > 0) target = all - 1;
    if (before <= target && target < before + total) {
      for (int start = first; start < end; start += kWarp) {
        const int token = start + lane;
        const Mass own = token < end ? value(logit(token)) : 0;
        const Mass up_to = before + sum_up_to(own);
        if (up_to - own <= target && target < up_to) shared_.found = static_cast<uint32_t>(token);
        before = __shfl_sync(kAllLanes, up_to, kWarp - 1);
      }
    }
    __syncthreads();
    return static_cast<int>(shared_.found);
  }

 private:
  static constexpr int kKeyBits = 32;

  __device__ static int thread() { return static_cast<int>(threadIdx.x); }

  template <class Body>
  __device__ void each(const Body& body) const {
#pragma unroll 4
    for (int token = thread(); token < vocabulary_; token += kThreads) body(logit(token));
  }

  // 0 for the greatest logits: which of kDigits ranges from there down.
  __device__ int range_of(float logit) const {
    const float temperature = request_.temperature > 0.0F ? request_.temperature : 1.0F;
    const float distance = (greatest_ - logit) * (kDigits / kWidest) / temperature;
    return distance < kDigits - 1 ? static_cast<int>(distance) : kDigits - 1;
  }

  struct Keys {
    uint32_t least;
    uint32_t greatest;
  };
  // Of the logits that are `wanted`.
  template <class Wanted>
  __device__ Keys keys_where(const Wanted& wanted) const {
    uint32_t least = 0xFFFFFFFFU;
    uint32_t greatest = 0;
    each([&](float logit) {
      if (!wanted(logit)) return;
      least = min(least, key_of(logit));
      greatest = max(greatest, key_of(logit));
    });
    least = __reduce_min_sync(kAllLanes, least);
    greatest = __reduce_max_sync(kAllLanes, greatest);
    __syncthreads();
    if (thread() == 0) {
      shared_.least_key = 0xFFFFFFFFU;
      shared_.greatest_key = 0;
    }
    __syncthreads();
    if (thread() % kWarp == 0) {
      atomicMin(&shared_.least_key, least);
      atomicMax(&shared_.greatest_key, greatest);
    }
    __syncthreads();
    return {shared_.least_key, shared_.greatest_key};
  }

  __device__ void clear_buckets() const {
    __syncthreads();
    for (int i = thread(); i < kDigits; i += kThreads) shared_.buckets[i] = 0;
    __syncthreads();
  }
  __device__ void add(int bucket, Mass value) const {
    if (value > 0) atomicAdd(&shared_.buckets[bucket], value);
  }

  // In `found`, the bucket at which the sum from the highest down reaches beyond `target`, or the
  // lowest that has something; gives the sum over those above.
  __device__ Mass find(Mass target) const {
    __syncthreads();
    if (thread() < kWarp) find_by_warp(target);
    __syncthreads();
    return shared_.found_above;
  }
  // A lane has eight buckets, the first lane the highest.
  __device__ void find_by_warp(Mass target) const {
    constexpr int kEach = kDigits / kWarp;
    const int highest = kDigits - 1 - thread() * kEach;
    Mass total = 0;
    for (int i = 0; i < kEach; ++i) total += shared_.buckets[highest - i];
    const Mass up_to = sum_up_to(total);
    const Mass all = __shfl_sync(kAllLanes, up_to, kWarp - 1);
    if (target >= all) target = all > 0 ? all - 1 : 0;
    Mass above = up_to - total;
    if (target < above || target >= up_to) return;
    int bucket = highest;
    while (target >= above + shared_.buckets[bucket]) above += shared_.buckets[bucket--];
    shared_.found = static_cast<uint32_t>(bucket);
    shared_.found_above = above;
  }

  const SampleRequest& request_;
  const float* logits_;
  int vocabulary_;
  float greatest_ = 0.0F;
  double steepness_ = 0.0;  // log2(e) / temperature
  Shared& shared_;
};

// What is left to draw from: the tokens that come first in descending order, with this mass.
__device__ Mass kept_mass(const Row& row, const SampleRequest& request, bool& in_order) {
  const auto weight = [&row](float logit) { return row.weight(logit); };
  Mass kept = row.sum(weight);
  in_order = true;
  if (request.top_k > 0 && request.top_k < row.vocabulary()) {
    in_order = false;
    const auto last = row.cross(static_cast<Mass>(request.top_k - 1),
                                [](float logit) -> Mass { return logit > -INFINITY ? 1 : 0; });
    const Mass above = row.sum(
        [&](float logit) -> Mass { return Row::key_of(logit) > last.key ? row.weight(logit) : 0; });
    const Mass equal = static_cast<Mass>(request.top_k) - last.above;
    kept = min(kept, above + equal * row.weight(Row::logit_of(last.key)));
  }
  if (request.top_p < 1.0F) {
    in_order = false;
    const double mass = static_cast<double>(request.top_p) * static_cast<double>(kept);
    // With the token at which the sum reaches the mass.
    const Mass target = mass > 1.0 ? static_cast<Mass>(ceil(mass)) - 1 : 0;
    const auto last = row.cross(target, weight);
    const Mass each = row.weight(Row::logit_of(last.key));
    if (each > 0) kept = min(kept, last.above + ((target - last.above) / each + 1) * each);
  }
  if (request.min_p > 0.0F) {
    const auto least = static_cast<Mass>(request.min_p * kWeightOne);
    kept = min(kept, row.sum([&](float logit) -> Mass {
      const Mass own = row.weight(logit);
      return own >= least ? own : 0;
    }));
  }
  return kept;
}

// Values as integers of the same order, then the token such that the lower wins a tie.
__device__ Mass argmax_key(float logit, int token) {
  return static_cast<Mass>(Row::key_of(logit)) << 32 | (0xFFFFFFFFU - static_cast<uint32_t>(token));
}

__global__ void clear_best(GreedyArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < args.count) args.best[i] = 0;
}

// A request is shared by gridDim.y blocks.
__global__ void __launch_bounds__(kGreedyThreads) find_best(GreedyArgs args) {
  follow_previous();
  const SampleRequest request = args.requests[blockIdx.x];
  const float* logits = args.logits + request.logits_row * args.vocabulary;
  Mass best = 0;
  const auto step = static_cast<int>(gridDim.y) * kGreedyThreads;
  for (int token = static_cast<int>(blockIdx.y) * kGreedyThreads + static_cast<int>(threadIdx.x);
       token < args.vocabulary; token += step) {
    best = max(best, argmax_key(allowed_logit(logits[token], request, token), token));
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    best = max(best, __shfl_xor_sync(kAllLanes, best, offset));
  }
  if (threadIdx.x % kWarp == 0) atomicMax(args.best + blockIdx.x, best);
}

__global__ void write_best(GreedyArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= args.count) return;
  args.out[args.requests[i].place] =
      static_cast<int32_t>(0xFFFFFFFFU - static_cast<uint32_t>(args.best[i]));
}

// A block has a request.
__global__ void __launch_bounds__(kThreads) sample(SampleArgs args) {
  follow_previous();
  __shared__ Shared shared;
  const SampleRequest request = args.requests[blockIdx.x];
  Row row(args, request, shared);
  const float greatest_logit = row.greatest_logit();
  row.set_greatest(greatest_logit);
  int token = 0;
  if (request.temperature == 0.0F || greatest_logit == -INFINITY) {
    token = row.token_with_key(Row::key_of(greatest_logit), 0, 1);
  } else {
    bool in_order = true;
    const Mass kept = kept_mass(row, request, in_order);
    const auto target =
        min(static_cast<Mass>(request.uniform * static_cast<double>(kept)), kept - 1);
    if (in_order) {
      const auto least = static_cast<Mass>(request.min_p * kWeightOne);
      token = row.token_in_order(target, [&](float logit) -> Mass {
        const Mass own = row.weight(logit);
        return own >= least ? own : 0;
      });
    } else {
      const auto drawn = row.cross(target, [&](float logit) { return row.weight(logit); });
      token =
          row.token_with_key(drawn.key, target - drawn.above, row.weight(Row::logit_of(drawn.key)));
    }
  }
  if (threadIdx.x == 0) args.out[request.place] = token;
}

}  // namespace

void launch_greedy(const GreedyArgs& args, cudaStream_t stream) {
  constexpr int64_t kBlocksEach = 16;
  const unsigned int blocks = blocks_of(args.count, kGreedyThreads);
  launch(clear_best, blocks, kGreedyThreads, args, stream);
  launch(find_best, dim3(static_cast<unsigned int>(args.count), kBlocksEach), kGreedyThreads, args,
         stream);
  launch(write_best, blocks, kGreedyThreads, args, stream);
}

void launch_sample(const SampleArgs& args, cudaStream_t stream) {
  launch(sample, blocks_of(args.count, 1), kThreads, args, stream);
}

}  // namespace octavo::cuda
