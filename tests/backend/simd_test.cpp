// The vector layer: the scalar operations against their definition, and every other instruction set
// against the scalar one, bit for bit.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "backend/simd_cases.h"
#include "base/float16.h"

namespace octavo::cpu {
namespace {

using namespace octavo::cpu::testing;

constexpr uint64_t kSeed = 7;
constexpr int kRounds = 2000;

uint32_t bits(float value) {
  return std::bit_cast<uint32_t>(value);
}

std::array<std::byte, sizeof(SimdOutput)> bytes(const SimdOutput& out) {
  return std::bit_cast<std::array<std::byte, sizeof(SimdOutput)>>(out);
}

void run(const SimdProbe& probe, const SimdInput& in, SimdOutput& out) {
  std::memset(&out, 0, sizeof(out));  // the padding too, since outputs are compared as bytes
  probe.run(in, out);
}

// The sum of products of row (lane) i.
template <class Weight>
int32_t dot(const SimdInput& in, int i, Weight weight) {
  int32_t sum = in.i16[i];
  for (int j = 0; j < 4; ++j) sum += weight(4 * i + j) * in.four[j];
  return sum;
}

void expect_floats(const SimdInput& in, const SimdOutput& out) {
  for (int i = 0; i < 16; ++i) {
    const float a = in.a[i];
    const float b = in.b[i];
    const float c = in.c[i];
    EXPECT_EQ(bits(out.zero[i]), 0u);
    EXPECT_EQ(bits(out.broadcast[i]), bits(in.a[3]));
    EXPECT_EQ(bits(out.partial[i]), bits(i < in.n ? a : 0.0f));
    EXPECT_EQ(bits(out.stored_partial[i]), bits(i < in.n ? a : b));
    EXPECT_EQ(bits(out.first[i]), bits(i < in.n ? a : b));
    EXPECT_EQ(bits(out.less[i]), bits(a < b ? c : a));
    EXPECT_EQ(bits(out.add[i]), bits(a + b));
    EXPECT_EQ(bits(out.sub[i]), bits(a - b));
    EXPECT_EQ(bits(out.mul[i]), bits(a * b));
    EXPECT_EQ(bits(out.div[i]), bits(a / b));
    EXPECT_EQ(bits(out.fma[i]), bits(std::fma(a, b, c)));
    EXPECT_EQ(bits(out.max[i]), bits(a > b ? a : b));
    EXPECT_EQ(bits(out.min[i]), bits(a < b ? a : b));
    EXPECT_EQ(bits(out.abs[i]), bits(std::fabs(a)));
    EXPECT_EQ(bits(out.round[i]), bits(std::nearbyint(a)));
    EXPECT_EQ(bits(out.scaled[i]), bits(std::ldexp(in.factor[i], static_cast<int>(in.power[i]))));
    EXPECT_EQ(bits(out.looked_up[i]), bits(in.a[in.indices[i]]));
    EXPECT_EQ(bits(out.from_f16[i]), bits(float_from_f16(in.half[i])));
    EXPECT_EQ(bits(out.from_bf16[i]), bits(float_from_bf16(in.half[i])));
    EXPECT_EQ(out.to_f16[i], f16_from_float(a));
  }
  float sum[16];
  std::memcpy(sum, in.a, sizeof(sum));
  for (const int width : {8, 4, 2, 1}) {
    for (int i = 0; i < width; ++i) sum[i] += sum[i + width];
  }
  EXPECT_EQ(bits(out.reduced[0]), bits(sum[0]));
  EXPECT_EQ(out.reduced[1], *std::max_element(in.a, in.a + 16));
}

void expect_integers(const SimdInput& in, const SimdOutput& out) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    const int32_t a = in.i16[i];
    const int32_t b = in.i8[i];  // NOLINT(bugprone-signed-char-misuse): a number
    sum += a;
    EXPECT_EQ(out.wide_u8[i], in.u8[i]);
    EXPECT_EQ(out.wide_i8[i], b);
    EXPECT_EQ(out.wide_i16[i], a);
    EXPECT_EQ(out.to_i32[i], static_cast<int32_t>(std::nearbyint(in.small[i])));
    EXPECT_EQ(out.add_i32[i], a + b);
    EXPECT_EQ(out.sub_i32[i], a - b);
    EXPECT_EQ(out.mul_i32[i], a * b);
    EXPECT_EQ(out.and_i32[i], a & in.i16[5]);
    EXPECT_EQ(out.left[i], a * 128);
    EXPECT_EQ(out.right[i], static_cast<int32_t>(std::floor(a / 8.0)));
    EXPECT_EQ(out.narrow[i], in.i8[i]);
    const auto product = static_cast<int64_t>(a) * a * b;
    EXPECT_EQ(out.to_f32[i], static_cast<float>(static_cast<int32_t>(product)));
    EXPECT_EQ(bits(out.bits[i]), static_cast<uint32_t>(a));
    EXPECT_EQ(out.dot_u7[i], dot(in, i, [&](int k) { return in.weights[k] & 0x7F; }));
    EXPECT_EQ(out.dot_looked_up[i],
              dot(in, i, [&](int k) { return in.table[in.indices[k]] & 0x7F; }));
    EXPECT_EQ(out.dot_shifted[i],
              dot(in, i, [&](int k) { return (in.weights[k] << 3 & 0x70) | in.weights[k] >> 4; }));
    EXPECT_EQ(out.dot_signed[i],
              dot(in, i, [&](int k) { return static_cast<int8_t>(in.weights[k]); }));
  }
  EXPECT_EQ(out.reduced_i32, sum);
}

TEST(Simd, ScalarFollowsTheDefinitions) {
  std::mt19937_64 random(kSeed);
  const SimdProbe scalar = available_probes().front();
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    const SimdInput in = random_simd_input(random);
    SimdOutput out;
    run(scalar, in, out);
    expect_floats(in, out);
    expect_integers(in, out);
  }
}

TEST(Simd, EveryInstructionSetHasTheSameBits) {
  std::mt19937_64 random(kSeed);
  const auto probes = available_probes();
  for (int round = 0; round < kRounds; ++round) {
    const SimdInput in = random_simd_input(random);
    SimdOutput expected;
    run(probes.front(), in, expected);
    for (const SimdProbe& probe : probes) {
      SimdOutput out;
      run(probe, in, out);
      ASSERT_TRUE(bytes(out) == bytes(expected)) << probe.name << " round " << round;
    }
  }
}

// Calls check(x, outputs, lane) for every `step` from `from` to `to`, on each instruction set.
template <class Check>
void for_values(float from, float to, float step, Check check) {
  const int vectors = static_cast<int>((to - from) / (16 * step));
  for (const SimdProbe& probe : available_probes()) {
    SCOPED_TRACE(probe.name);
    for (int vector = 0; vector < vectors; ++vector) {
      SimdInput in = {};
      for (int i = 0; i < 16; ++i) in.a[i] = from + static_cast<float>(16 * vector + i) * step;
      SimdOutput out;
      run(probe, in, out);
      for (int i = 0; i < 16; ++i) check(in.a[i], out, i);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// The distance between `got` and the exact value, in units of the last place of a float there.
double ulps(float got, double exact) {
  int exponent;
  std::frexp(exact, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

TEST(Simd, ExpIsWithinTwoUnitsInTheLastPlace) {
  for_values(-104.5f, 88.7f, 0.00713f, [](float x, const SimdOutput& out, int i) {
    EXPECT_LE(ulps(out.exp[i], std::exp(static_cast<double>(x))), 2.0) << x;
  });
}

TEST(Simd, ExpKeepsTheExtremes) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const SimdProbe& probe : available_probes()) {
    SCOPED_TRACE(probe.name);
    SimdInput in = {};
    const float values[] = {-infinity, -1e30f, -104.1f,  0.0f,         -0.0f,
                            88.8f,     1e30f,  infinity, std::nanf("")};
    std::copy(std::begin(values), std::end(values), in.a);
    SimdOutput out;
    run(probe, in, out);
    for (const int i : {0, 1, 2}) EXPECT_EQ(bits(out.exp[i]), 0u) << in.a[i];
    for (const int i : {3, 4}) EXPECT_EQ(out.exp[i], 1.0f) << in.a[i];
    for (const int i : {5, 6, 7}) EXPECT_EQ(out.exp[i], infinity) << in.a[i];
    EXPECT_TRUE(std::isnan(out.exp[8]));
    EXPECT_EQ(out.sigmoid[0], 0.0f);
    EXPECT_EQ(out.sigmoid[7], 1.0f);
    EXPECT_EQ(out.tanh[0], -1.0f);
    EXPECT_EQ(out.tanh[7], 1.0f);
    EXPECT_TRUE(std::isnan(out.tanh[8]));
  }
}

TEST(Simd, ActivationFunctionsAreAccurate) {
  for_values(-30.0f, 30.0f, 0.0117f, [](float value, const SimdOutput& out, int i) {
    const double x = value;
    const double sigmoid = 1 / (1 + std::exp(-x));
    // The error of e^-x (2 units), of the sum and of the quotient.
    EXPECT_NEAR(out.sigmoid[i], sigmoid, 4 * 0x1p-23 * sigmoid) << value;
    EXPECT_NEAR(out.silu[i], x * sigmoid, 5 * 0x1p-23 * std::fabs(x * sigmoid)) << value;
    EXPECT_NEAR(out.tanh[i], std::tanh(x), 2e-7) << value;
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    const double gelu = 0.5 * x * (1 + std::tanh(u));
    // The argument 2 u is rounded, which e^(2 u) magnifies by |2 u|.
    const double tolerance = (5 + 3 * std::fabs(2 * u)) * 0x1p-23 * std::fabs(gelu);
    // Where the reference cancels (1 + tanh near -1), it is worth 2^-52 |x|.
    EXPECT_NEAR(out.gelu_tanh[i], gelu, tolerance + 0x1p-52 * std::fabs(x) + 0x1p-149) << value;
  });
}

}  // namespace
}  // namespace octavo::cpu
