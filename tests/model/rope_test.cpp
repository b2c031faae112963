#include <gtest/gtest.h>

#include <cmath>

#include "model/weights.h"

namespace octavo {
namespace {

TEST(Rope, PlainFrequenciesFallGeometrically) {
  const RopeTable rope = plain_rope(8, 10000.0F, /*interleaved=*/true);
  ASSERT_EQ(rope.frequencies.size(), 4u);
  EXPECT_TRUE(rope.interleaved);
  EXPECT_EQ(rope.magnitude, 1.0F);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(rope.frequencies[i], std::pow(10.0F, -static_cast<float>(i)));
  }
}

}  // namespace
}  // namespace octavo
