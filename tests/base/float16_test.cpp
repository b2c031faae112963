#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octavo {
namespace {

TEST(Float16, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = float_from_f16(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_from_f16(f16_from_float(value))));
    } else {
      EXPECT_EQ(f16_from_float(value), half) << bits;
    }
  }
}

// The compiler's own _Float16 is the outside judge, where it has one (clang 14 has none on x86).
TEST(Float16, RoundsAsTheCompilerDoes) {
#ifdef __FLT16_MAX__
  uint32_t state = 1;
  for (int i = 0; i < 2'000'000; ++i) {
    state = state * 1664525u + 1013904223u;
    const auto value = std::bit_cast<float>(state);
    if (std::isnan(value)) continue;
    const auto expected = static_cast<_Float16>(value);
    EXPECT_EQ(f16_from_float(value), std::bit_cast<uint16_t>(expected)) << value;
  }
#else
  GTEST_SKIP() << "this compiler has no _Float16";
#endif
}

TEST(Float16, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(bf16_from_float(1.0f), 0x3F80);
  EXPECT_EQ(bf16_from_float(std::bit_cast<float>(0x3F808000u)), 0x3F80);  // a tie goes to even
  EXPECT_EQ(bf16_from_float(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_EQ(bf16_from_float(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_TRUE(
      std::isnan(float_from_bf16(bf16_from_float(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(float_from_bf16(0xC040), -3.0f);
}

}  // namespace
}  // namespace octavo
