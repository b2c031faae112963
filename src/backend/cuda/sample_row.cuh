// One row of logits as a thread block sees it: sums, the place where a sum in some order reaches a
// value, the token there. Device code only.
//
// A pass over 128k tokens takes a thread block of an H200 some 30 us, so tokens that can matter no
// more are left out as soon as few remain.
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
inline constexpr float kWidest = 27.8F;   // in temperatures: what is farther below has weight 0
inline constexpr int kMostListed = 4096;  // tokens that count as few
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
  Mass found_rest;
  Mass found_all;
  Mass least_key;
  Mass greatest_key;
  uint32_t found;
  int listed;
  int tokens[kMostListed];
  float logits[kMostListed];
};

// Logits that are not a number are minus infinity, and none is above `ceiling`.
class LogitRow {
 public:
  __device__ LogitRow(const float* logits, int64_t vocabulary, float ceiling, float temperature,
                      RowShared& shared)
      : logits_(logits),
        size_(static_cast<int>(vocabulary)),
        ceiling_(ceiling),
        temperature_(temperature > 0.0F ? temperature : 1.0F),
        shared_(shared) {}

  __device__ int size() const { return size_; }
  __device__ float temperature() const { return temperature_; }
  __device__ float greatest() const { return greatest_; }

  // Of the i-th token that is looked at: token i, until some are left out.
  __device__ float logit(int i) const { return clean(logits_[i], ceiling_); }
  __device__ static float clean(float logit, float ceiling) {
    return isnan(logit) ? -INFINITY : fminf(logit, ceiling);
  }

  // Relative to the greatest logit, which must have been set and not be less than this one.
  __device__ Mass weight(float logit) const {
    // 2^x for x with 32 bits behind the point; of those a float holds enough.
    const double x = (static_cast<double>(logit) - static_cast<double>(greatest_)) * steepness_;
    if (!(x > -kWeightBits - 1.0)) return 0;
    const long long fixed = __double2ll_rd(x * 0x1p32);
    const float fraction = exp2f(__uint2float_rz(static_cast<uint32_t>(fixed)) * 0x1p-32F);
    return static_cast<Mass>(fraction * kWeightOne) >> -static_cast<int>(fixed >> 32);
  }
  __device__ void set_greatest(float greatest) {
    constexpr double kLog2E = 1.4426950408889634;
    greatest_ = greatest;
    steepness_ = kLog2E / static_cast<double>(temperature_);
    ranges_ = kDigits / kWidest / temperature_;
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
    for (int i = thread(); i < size_; i += kRowThreads) body(logit(i), token_at(i));
  }

  // The sum of value(logit, token) over all tokens, the same in every thread, in an order that
  // depends on the row alone.
  template <class Value>
  __device__ double sum(const Value& value) const {
    double total = 0.0;
    each([&](float logit, int token) { total += value(logit, token); });
    return sum_of_threads(total);
  }
  // The mean of what(logit) over the tokens, each with weight(logit, token).
  template <class What, class Weight>
  __device__ double mean(const What& what, const Weight& weight) const {
    double total = 0.0;
    double weights = 0.0;
    each([&](float logit, int token) {
      const double own = weight(logit, token);
      if (!(own > 0.0)) return;
      total += own * what(logit);
      weights += own;
    });
    total = sum_of_threads(total);
    return total / sum_of_threads(weights);
  }

  // An order of the tokens: descending keys, which lie in kDigits ranges, the first that of the
  // greatest keys.
  struct ByLogit {
    using Key = uint32_t;
    const LogitRow& row;
    __device__ Key key(float logit) const { return key_of(logit); }
    __device__ int range(float logit) const {
      return range_at((row.greatest_ - logit) * row.ranges_);
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

  // Where a sum over the tokens in some order reaches beyond target(the sum over all tokens): the
  // last that adds something, where that is not less.
  template <class Key>
  struct Crossing {
    Key key;
    Mass rest;  // what is missing after all greater keys
    Mass all;   // the sum over all tokens
  };
  // First among the ranges, then, within one, digit by digit of the keys that are there. So tokens
  // are spread over the counters, most of which would meet in the keys' first digit. The caller is
  // done with what comes after: most of that is left out from now on.
  template <class Order, class Target, class Value>
  __device__ Crossing<typename Order::Key> cross(const Order& order, const Target& target,
                                                 const Value& value) {
    using Key = typename Order::Key;
    constexpr int kKeyBits = 8 * sizeof(Key);
    clear_buckets();
    Mass last = 0;  // of the last range, which may have most tokens: they would wait for each other
    each([&](float logit, int token) {
      const int range = order.range(logit);
      const Mass own = value(logit, token);
      if (range == kDigits - 1) {
        last += own;
      } else {
        add(kDigits - 1 - range, own);
      }
    });
    last = sum_lanes(last);
    if (thread() % kWarp == 0) add(0, last);
    Crossing<Key> crossing = {0, find(target), shared_.found_all};
    const int range = kDigits - 1 - static_cast<int>(shared_.found);
    narrow(order, range);
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
      const Mass rest = crossing.rest;
      crossing.rest = find([rest](Mass) { return rest; });
      crossing.key |= static_cast<Key>(shared_.found) << shift;
      bits = shift;
    }
    return crossing;
  }

  // The same in ascending order of the tokens.
  template <class Target, class Value>
  __device__ int token_in_order(const Target& target, const Value& value) const {
    const int lane = thread() % kWarp;
    const int each = (size_ + kRowThreads - 1) / kRowThreads * kWarp;  // tokens of a warp
    const int first = thread() / kWarp * each;
    const int end = min(first + each, size_);
    Mass total = 0;
    for (int i = first + lane; i < end; i += kWarp) total += value(logit(i), token_at(i));
    total = sum_lanes(total);
    __syncthreads();
    if (lane == 0) shared_.warps[thread() / kWarp] = total;
    if (thread() == 0) shared_.found = 0;
    __syncthreads();
    Mass before = 0;
    for (int warp = 0; warp < thread() / kWarp; ++warp) before += shared_.warps[warp];
    Mass all = before;
    for (int warp = thread() / kWarp; warp < kRowWarps; ++warp) all += shared_.warps[warp];
    Mass wanted = target(all);
    if (wanted >= all && all > 0) wanted = all - 1;
    if (before <= wanted && wanted < before + total) {
      for (int start = first; start < end; start += kWarp) {
        const int i = start + lane;
        const Mass own = i < end ? value(logit(i), token_at(i)) : 0;
        const Mass up_to = before + sum_up_to(own);
        if (up_to - own <= wanted && wanted < up_to) {
          shared_.found = static_cast<uint32_t>(token_at(i));
        }
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

  // In `found`, the bucket at which the sum from the highest down reaches beyond target(the sum
  // over all), or the lowest that has something; gives what is missing after those above.
  template <class Target>
  __device__ Mass find(const Target& target) const {
    __syncthreads();
    if (thread() < kWarp) find_by_warp(target);
    __syncthreads();
    return shared_.found_rest;
  }
  // A lane has eight buckets, the first lane the highest.
  template <class Target>
  __device__ void find_by_warp(const Target& target) const {
    constexpr int kEach = kDigits / kWarp;
    const int highest = kDigits - 1 - thread() * kEach;
    Mass total = 0;
    for (int i = 0; i < kEach; ++i) total += shared_.buckets[highest - i];
    const Mass up_to = sum_up_to(total);
    const Mass all = __shfl_sync(kAllLanes, up_to, kWarp - 1);
    Mass wanted = target(all);
    if (wanted >= all) wanted = all > 0 ? all - 1 : 0;
    Mass above = up_to - total;
    if (wanted < above || wanted >= up_to) return;
    int bucket = highest;
    while (wanted >= above + shared_.buckets[bucket]) above += shared_.buckets[bucket--];
    shared_.found = static_cast<uint32_t>(bucket);
    shared_.found_rest = wanted - above;
    shared_.found_all = all;
  }

  __device__ double sum_of_threads(double total) const {
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

  __device__ int token_at(int i) const {
    return is_list_ ? shared_.tokens[i] : i;
  }

  // Leaves out what comes after a range in an order, if few tokens remain. They stay in ascending
  // order.
  template <class Order>
  __device__ void narrow(const Order& order, int range) {
    if (size_ <= kMostListed) return;
    __syncthreads();
    if (thread() == 0) shared_.listed = 0;
    __syncthreads();
    each([&](float logit, int token) {
      if (order.range(logit) > range) return;
      const int i = atomicAdd(&shared_.listed, 1);
      if (i >= kMostListed) return;
      shared_.tokens[i] = token;
      shared_.logits[i] = logit;
    });
    __syncthreads();
    const int listed = shared_.listed;
    if (listed > kMostListed) return;
    sort_list(listed);
    logits_ = shared_.logits;
    size_ = listed;
    is_list_ = true;
  }
  // A bitonic sort (Batcher, 1968).
  __device__ void sort_list(int listed) const {
    int size = 1;
    while (size < listed) size *= 2;
    for (int i = listed + thread(); i < size; i += kRowThreads) shared_.tokens[i] = 0x7FFFFFFF;
    __syncthreads();
    for (int span = 2; span <= size; span *= 2) {
      for (int gap = span / 2; gap > 0; gap /= 2) {
        for (int i = thread(); i < size / 2; i += kRowThreads) {
          const int low = 2 * i - (i & (gap - 1));
          order_pair(low, low + gap, (low & span) == 0);
        }
        __syncthreads();
      }
    }
  }
  __device__ void order_pair(int low, int high, bool ascending) const {
    const int token = shared_.tokens[low];
    if ((token > shared_.tokens[high]) != ascending) return;
    const float logit = shared_.logits[low];
    shared_.tokens[low] = shared_.tokens[high];
    shared_.logits[low] = shared_.logits[high];
    shared_.tokens[high] = token;
    shared_.logits[high] = logit;
  }

  const float* logits_;  // of the whole row, or of the list
  int size_;
  bool is_list_ = false;
  float ceiling_;
  float temperature_;
  float greatest_ = 0.0F;
  float ranges_ = 0.0F;     // per unit of the logits
  double steepness_ = 0.0;  // log2(e) / temperature
  RowShared& shared_;
};

}  // namespace octavo::cuda
