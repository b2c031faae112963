// Rotary position embedding and the writing of K and V: against double precision in the queries,
// bit for bit in the cache.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <ostream>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/kv_rounding.h"
#include "backend/random_values.h"
#include "backend/simple_batch.h"
#include "base/float16.h"

namespace octavo::cpu {
namespace {

struct Case {
  int32_t head_dim;
  size_t pairs;
  bool interleaved;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.pairs << " pairs of " << c.head_dim << (c.interleaved ? ", interleaved" : "");
}

class CpuRope : public testing::TestWithParam<Case> {
 protected:
  static constexpr size_t kRows = 3;
  static constexpr size_t kHeads = 4;
  static constexpr size_t kKvHeads = 2;
  static constexpr int32_t kLayer = 1;
  static constexpr float kMagnitude = 1.25F;

  CpuRope() {
    rope_.interleaved = GetParam().interleaved;
    rope_.magnitude = kMagnitude;
    for (size_t i = 0; i < GetParam().pairs; ++i) {
      rope_.frequencies.push_back(std::pow(10000.0F, -static_cast<float>(i) / 16.0F));
    }
    step_.batch.groups = {{slots_, table_starts_, {}}};
    std::mt19937 random(12);
    q_ = random_values(random, kRows * kHeads * dim());
    k_ = random_values(random, kRows * kKvHeads * dim());
    v_ = random_values(random, kRows * kKvHeads * dim());
  }

  static size_t dim() { return static_cast<size_t>(GetParam().head_dim); }

  struct Result {
    std::vector<float> q;
    std::vector<float> k;
    std::unique_ptr<CpuBackend> backend;
    std::unique_ptr<KvStore> store;
    const CpuKvStore& memory() const { return static_cast<const CpuKvStore&>(*store); }
  };

  Result run(const char* isa, int threads, DType type) {
    KvShape shape;
    shape.layers_per_block = 2;
    shape.kv_heads = kKvHeads;
    shape.head_dim = GetParam().head_dim;
    shape.type = type;
    shape.groups = {{0, {0, kLayer}}};
    Result result{q_, k_, CpuBackend::create({threads, isa}).value(), nullptr};
    result.store = result.backend->create_kv_store(shape, 3).value();
    result.backend->begin_step(step_.batch);
    const auto columns = static_cast<int64_t>(dim());
    result.backend->rope_and_store(view(result.q, kHeads * columns),
                                   view(result.k, kKvHeads * columns), view(v_, kKvHeads * columns),
                                   kLayer, rope_, step_.batch, *result.store);
    return result;
  }

  RopeTable rope_;
  SimpleBatch step_{{0, 0, 0}, {3, 100'000, 40}};
  std::vector<int32_t> slots_ = {37, 5, 16};
  std::vector<int32_t> table_starts_ = {0, 0, 0, 0};
  std::vector<float> q_;  // [kRows, kHeads, dim]
  std::vector<float> k_;  // [kRows, kKvHeads, dim]
  std::vector<float> v_;
};

INSTANTIATE_TEST_SUITE_P(Cases, CpuRope,
                         testing::Values(Case{8, 4, false}, Case{64, 32, false}, Case{64, 32, true},
                                         Case{80, 20, false}, Case{40, 9, true},
                                         Case{16, 0, true}));

TEST_P(CpuRope, AgreesWithDoublePrecision) {
  const std::vector<float> turned = run(best_kernels().name, 1, DType::f32).q;
  const size_t pairs = GetParam().pairs;
  for (size_t head = 0; head < kRows * kHeads; ++head) {
    const float* before = q_.data() + head * dim();
    const float* after = turned.data() + head * dim();
    for (size_t i = 0; i < pairs; ++i) {
      const size_t first = GetParam().interleaved ? 2 * i : i;
      const size_t second = GetParam().interleaved ? 2 * i + 1 : i + pairs;
      const double angle = step_.positions[head / kHeads] * double{rope_.frequencies[i]};
      const double cosine = std::cos(angle) * double{kMagnitude};
      const double sine = std::sin(angle) * double{kMagnitude};
      const double a = double{before[first]};
      const double b = double{before[second]};
      // Each product is rounded twice, with its cosine or sine, and the sum once.
      const double bound = 3.01 * kEpsilon * double{kMagnitude} * (std::abs(a) + std::abs(b));
      ASSERT_NEAR(double{after[first]}, a * cosine - b * sine, bound) << i;
      ASSERT_NEAR(double{after[second]}, b * cosine + a * sine, bound) << i;
    }
    for (size_t d = 2 * pairs; d < dim(); ++d) ASSERT_EQ(after[d], before[d]) << d;
  }
}

TEST_P(CpuRope, BitsAreTheSameEverywhere) {
  const Result expected = run(best_kernels().name, 1, DType::f16);
  const auto bytes = static_cast<size_t>(expected.store->shape().block_bytes());
  for (const Kernels* kernels : available_kernels()) {
    for (int threads = 1; threads <= 3; ++threads) {
      const Result result = run(kernels->name, threads, DType::f16);
      EXPECT_TRUE(same_bits(result.q, expected.q)) << kernels->name;
      EXPECT_TRUE(same_bits(result.k, expected.k)) << kernels->name;
      for (int block = 0; block < 3; ++block) {
        EXPECT_EQ(std::memcmp(result.memory().block(block), expected.memory().block(block), bytes),
                  0)
            << kernels->name;
      }
    }
  }
}

// Number `index` of a row of V, number [index][lane] of a tile of K.
float element(const std::byte* row, size_t index, DType type) {
  float value = 0;
  uint16_t half = 0;
  if (type == DType::f32) {
    std::memcpy(&value, row + sizeof(value) * index, sizeof(value));
    return value;
  }
  std::memcpy(&half, row + sizeof(half) * index, sizeof(half));
  return type == DType::f16 ? float_from_f16(half) : float_from_bf16(half);
}

TEST_P(CpuRope, WritesRowsToTheirSlotsRounded) {
  for (const DType type : {DType::f16, DType::f32, DType::bf16}) {
    const Result result = run(best_kernels().name, 1, type);
    std::vector<float> k = result.k;
    std::vector<float> v = v_;
    round_like_cache(type, k);
    round_like_cache(type, v);
    for (size_t row = 0; row < kRows; ++row) {
      const auto slot = static_cast<size_t>(slots_[row]);
      for (size_t head = 0; head < kKvHeads; ++head) {
        const std::byte* keys = result.memory().head(static_cast<int64_t>(slot / 16), kLayer,
                                                     static_cast<int32_t>(head));
        const std::byte* values = keys + result.memory().value_offset();
        const size_t at = (row * kKvHeads + head) * dim();
        for (size_t d = 0; d < dim(); ++d) {
          ASSERT_EQ(element(keys, d * 16 + slot % 16, type), k[at + d]);
          ASSERT_EQ(element(values, slot % 16 * dim() + d, type), v[at + d]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace octavo::cpu
