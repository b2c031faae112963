// One row of logits as a thread block sees it: sums, the place where a sum in some order reaches a
// value, the token there. Device code only.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/launch.cuh"

namespace octavo::cuda {

inline constexpr int kRowThreads = 1024;
inline constexpr int kWarp = 32;
inline constexpr int kRowWarps = kRowThreads / kWarp;
inline constexpr int kDigitBits = 8;
inline constexpr int kDigits = 1 << kDigitBits;
inline constexpr float kWeightOne = 0x1p40F;  // of the greatest logit
inline constexpr double kWeightBits = 40.0;
inline constexpr float kWidest = 27.8F;  // in temperatures: what is farther below has weight 0
inline constexpr unsigned int kAllLanes = 0xFFFFFFFFU;
inline constexpr float kGreatestFloat = 3.402823466e38F;

using Mass = unsigned long long;

__device__ inline Mass sum_lanes(Mass value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, offset);
  }
  return value;
}

// Up to and with the lane.
__device__ inline Mass sum_up_to(Mass value) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const Mass before = __shfl_up_sync(kAllLanes, value, offset);
    if (lane >= offset) value += before;
  }
  return value;
}

// Floats as integers of the same order; both zeros are equal.
__device__ inline uint32_t key_of(float logit) {
  const uint32_t bits = __float_as_uint(logit == 0.0F ? 0.0F : logit);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
__device__ inline float logit_of(uint32_t key) {
  return __uint_as_float((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
}

// A key, then the token such that the lower wins a tie.
__device__ inline Mass key_and_token(uint32_t key, int token) {
  return static_cast<Mass>(key) << 32 | (0xFFFFFFFFU - static_cast<uint32_t>(token));
}
__device__ inline int token_of(Mass key_and_token) {
  return static_cast<int>(0xFFFFFFFFU - static_cast<uint32_t>(key_and_token));
}

struct RowShared {
  Mass buckets[kDigits];
  Mass warps[kRowWarps];
  Mass found_above;
  Mass found_all;
  Mass least_key;
  Mass greatest_key;
  uint32_t found;
};

// Logits that are not a number are minus infinity, and none is above `ceiling`.
class LogitRow {
 public:
  __device__ LogitRow(const float* logits, int64_t vocabulary, float ceiling, float temperature,
                      RowShared& shared)
      : logits_(logits),
        vocabulary_(static_cast<int>(vocabulary)),
        ceiling_(ceiling),
        temperature_(temperature > 0.0F ? temperature : 1.0F),
        shared_(shared) {}

  __device__ int vocabulary() const { return vocabulary_; }
  __device__ float temperature() const { return temperature_; }
  __device__ float greatest() const { return greatest_; }

  __device__ float logit(int token) const { return clean(logits_[token], ceiling_); }
  __device__ static float clean(float logit, float ceiling) {
    return isnan(logit) ? -INFINITY : fminf(logit, ceiling);
  }

  // Relative to the greatest logit, which must have been set and not be less than this one.
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
    steepness_ = kLog2E / static_cast<double>(temperature_);
  }

  // The greatest logit of the tokens that are wanted(logit, token); minus infinity: none is.
  template <class Wanted>
  __device__ float greatest_where(const Wanted& wanted) const {
    const ByLogit order{*this};
    const Mass key = keys_where(order, wanted).greatest;
    return key > 0 ? logit_of(static_cast<uint32_t>(key)) : -INFINITY;
  }

  // Calls body(logit, token) for each token, each in one thread: always the same thread.
  template <class Body>
  __device__ void each(const Body& body) const {
#pragma unroll 4
    for (int token = thread(); token < vocabulary_; token += kRowThreads) body(logit(token), token);
  }

  // The sum of value(logit, token) over all tokens, the same in every thread.
  template <class Value>
  __device__ Mass sum(const Value& value) const {
    Mass total = 0;
    each([&](float logit, int token) { total += value(logit, token); });
    total = sum_lanes(total);
    __syncthreads();
    if (thread() % kWarp == 0) shared_.warps[thread() / kWarp] = total;
    __syncthreads();
    total = 0;
    for (int warp = 0; warp < kRowWarps; ++warp) total += shared_.warps[warp];
    return total;
  }
  // The same of doubles, in an order that depends on the vocabulary alone.
  template <class Value>
  __device__ double double_sum(const Value& value) const {
    double total = 0.0;
    each([&](float logit, int token) { total += value(logit, token); });
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      total += __shfl_xor_sync(kAllLanes, total, offset);
    }
    __syncthreads();
    if (thread() % kWarp == 0) shared_.warps[thread() / kWarp] = __double_as_longlong(total);
    __syncthreads();
    total = 0.0;
    for (int warp = 0; warp < kRowWarps; ++warp) {
      total += __longlong_as_double(static_cast<long long>(shared_.warps[warp]));
    }
    return total;
  }

  // An order of the tokens: descending keys, which lie in kDigits ranges, the first that of the
  // greatest keys.
  struct ByLogit {
    using Key = uint32_t;
    const LogitRow& row;
    __device__ Key key(float logit) const { return key_of(logit); }
    __device__ int range(float logit) const {
      return range_at((row.greatest_ - logit) * (kDigits / kWidest) / row.temperature_);
    }
  };
  // The nearer to a number of temperatures below a logit, the earlier.
  struct ByDistance {
    using Key = Mass;
    double top;
    double steepness;  // 1 / temperature
    double middle;
    __device__ double below(float logit) const {
      return (top - static_cast<double>(logit)) * steepness;
    }
    __device__ double distance(float logit) const { return fabs(below(logit) - middle); }
    __device__ Key key(float logit) const {
      return ~static_cast<Mass>(__double_as_longlong(distance(logit)));
    }
    __device__ int range(float logit) const {
      return range_at(static_cast<float>(distance(logit)) * (kDigits / kWidest));
    }
  };

  // Where a sum over the tokens in some order reaches beyond `target`.
  template <class Key>
  struct Crossing {
    Key key;
    Mass above;  // the sum over all greater keys
    Mass all;    // the sum over all tokens
  };
  // First among the ranges, then, within one, digit by digit of the keys that are there. So tokens
  // are spread over the counters, most of which would meet in the keys' first digit.
  template <class Order, class Value>
  __device__ Crossing<typename Order::Key> cross(const Order& order, Mass target,
                                                 const Value& value) const {
    using Key = typename Order::Key;
    constexpr int kKeyBits = 8 * sizeof(Key);
    clear_buckets();
    each([&](float logit, int token) {
      add(kDigits - 1 - order.range(logit), value(logit, token));
    });
    const Mass above_range = find(target);
    const int range = kDigits - 1 - static_cast<int>(shared_.found);
    Crossing<Key> crossing = {0, above_range, shared_.found_all};
    const auto keys = keys_where(order, [&](float logit, int token) {
      return order.range(logit) == range && value(logit, token) > 0;
    });
    int bits = significant_bits(keys.greatest ^ keys.least);
    crossing.key = bits < kKeyBits ? keys.greatest >> bits << bits : 0;
    while (bits > 0) {
      const int shift = max(bits - kDigitBits, 0);
      const Key known = crossing.key;
      clear_buckets();
      each([&](float logit, int token) {
        const Key key = order.key(logit);
        if (order.range(logit) != range) return;
        if (bits < kKeyBits && (key ^ known) >> bits != 0) return;
        add(static_cast<int>(key >> shift & (kDigits - 1)), value(logit, token));
      });
      crossing.above += find(target - crossing.above);
      crossing.key |= static_cast<Key>(shared_.found) << shift;
      bits = shift;
    }
    return crossing;
  }

  // The token among those with this key at which the sum reaches beyond `rest`, each adding
  // `weight`: the lower come first.
  __device__ int token_with_key(uint32_t key, Mass rest, Mass weight) const {
    return token_in_order(weight > 0 ? rest / weight : 0,
                          [key](float x, int) -> Mass { return key_of(x) == key ? 1 : 0; });
  }

  // The token at which a sum in ascending order of the tokens reaches beyond `target`; the last one
  // that adds something where none does.
  template <class Value>
  __device__ int token_in_order(Mass target, const Value& value) const {
    const int lane = thread() % kWarp;
    const int each = (vocabulary_ + kRowThreads - 1) / kRowThreads * kWarp;  // tokens of a warp
    const int first = thread() / kWarp * each;
    const int end = min(first + each, vocabulary_);
    Mass total = 0;
    for (int token = first + lane; token < end; token += kWarp) total += value(logit(token), token);
    total = sum_lanes(total);
    __syncthreads();
    if (lane == 0) shared_.warps[thread() / kWarp] = total;
    if (thread() == 0) shared_.found = 0;
    __syncthreads();
    Mass before = 0;
    for (int warp = 0; warp < thread() / kWarp; ++warp) before += shared_.warps[warp];
    Mass all = before;
    for (int warp = thread() / kWarp; warp < kRowWarps; ++warp) all += shared_.warps[warp];
    if (target >= all && all > 0) target = all - 1;
    if (before <= target && target < before + total) {
      for (int start = first; start < end; start += kWarp) {
        const int token = start + lane;
        const Mass own = token < end ? value(logit(token), token) : 0;
        const Mass up_to = before + sum_up_to(own);
        if (up_to - own <= target && target < up_to) shared_.found = static_cast<uint32_t>(token);
        before = __shfl_sync(kAllLanes, up_to, kWarp - 1);
      }
    }
    __syncthreads();
    return static_cast<int>(shared_.found);
  }

 private:
  __device__ static int thread() {
    return static_cast<int>(threadIdx.x);
  }
  // Of a token that is above the greatest, and so has been left out, it is the first.
  __device__ static int range_at(float range) {
    return range < kDigits - 1 ? static_cast<int>(__float2uint_rz(range)) : kDigits - 1;
  }
  __device__ static int significant_bits(uint32_t key) {
    return 32 - __clz(static_cast<int>(key));
  }
  __device__ static int significant_bits(Mass key) {
    return 64 - __clzll(static_cast<long long>(key));
  }
  __device__ static uint32_t least_of_lanes(uint32_t key) {
    return __reduce_min_sync(kAllLanes, key);
  }
  __device__ static uint32_t greatest_of_lanes(uint32_t key) {
    return __reduce_max_sync(kAllLanes, key);
  }
  __device__ static Mass least_of_lanes(Mass key) {
    return ~greatest_of_lanes(~key);
  }
  __device__ static Mass greatest_of_lanes(Mass key) {
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      key = max(key, __shfl_xor_sync(kAllLanes, key, offset));
    }
    return key;
  }

  template <class Key>
  struct Keys {
    Key least;
    Key greatest;
  };
  // Of the tokens that are `wanted`.
  template <class Order, class Wanted>
  __device__ Keys<typename Order::Key> keys_where(const Order& order, const Wanted& wanted) const {
    using Key = typename Order::Key;
    Key least = ~Key{0};
    Key greatest = 0;
    each([&](float logit, int token) {
      if (!wanted(logit, token)) return;
      least = min(least, order.key(logit));
      greatest = max(greatest, order.key(logit));
    });
    least = least_of_lanes(least);
    greatest = greatest_of_lanes(greatest);
    __syncthreads();
    if (thread() == 0) {
      shared_.least_key = ~Mass{0};
      shared_.greatest_key = 0;
    }
    __syncthreads();
    if (thread() % kWarp == 0) {
      atomicMin(&shared_.least_key, Mass{least});
      atomicMax(&shared_.greatest_key, Mass{greatest});
    }
    __syncthreads();
    return {static_cast<Key>(shared_.least_key), static_cast<Key>(shared_.greatest_key)};
  }

  __device__ void clear_buckets() const {
    __syncthreads();
    for (int i = thread(); i < kDigits; i += kRowThreads) shared_.buckets[i] = 0;
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
    shared_.found_all = all;
  }

  const float* logits_;
  int vocabulary_;
  float ceiling_;
  float temperature_;
  float greatest_ = 0.0F;
  double steepness_ = 0.0;  // log2(e) / temperature
  RowShared& shared_;
};

}  // namespace octavo::cuda
