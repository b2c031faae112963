#include "gguf/random_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"
#include "gguf/blocks.h"

namespace octavo::gguf {
namespace {

// SplitMix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
// OOPSLA 2014): a number for each counter.
constexpr uint64_t mixed(uint64_t counter) {
  uint64_t z = counter * 0x9E3779B97F4A7C15ULL;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
  return z ^ z >> 31;
}

// Mean of the squares of first, first + 1, ... , `count` of them.
constexpr double mean_square(double first, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += (first + i) * (first + i);
  return sum / count;
}

template <size_t size>
constexpr double mean_square(const std::array<int8_t, size>& values) {
  double sum = 0;
  for (const int8_t value : values) sum += value * value;
  return sum / size;
}

// The numbers that random bits choose among; 256, so that a byte does.
constexpr size_t kChoices = 256;

// Scales between 3/4 and 5/4 of the one that gives values whose mean square is `unit_mean_square`
// this deviation; of both signs, so that codes that are not symmetric have mean 0 all the same.
std::array<float, kChoices> signed_scales(float deviation, double unit_mean_square) {
  constexpr double kSpread = 1 + 0.5 * 0.5 / 12;  // mean square of a number from 3/4 to 5/4
  const double middle = deviation / std::sqrt(unit_mean_square * kSpread);
  std::array<float, kChoices> scales = {};
  for (size_t i = 0; i < kChoices; ++i) {
    const double factor = 0.75 + 0.5 * (static_cast<double>(i) + 0.5) / kChoices;
    scales[i] = static_cast<float>(i % 2 == 0 ? middle * factor : -middle * factor);
  }
  return scales;
}

std::array<uint16_t, kChoices> f16_scales(float deviation, double unit_mean_square) {
  std::array<uint16_t, kChoices> halves = {};
  const std::array<float, kChoices> scales = signed_scales(deviation, unit_mean_square);
  for (size_t i = 0; i < kChoices; ++i) halves[i] = f16_from_float(scales[i]);
  return halves;
}

// Values at equal distances that have this deviation.
std::array<float, kChoices> even_values(float deviation) {
  const double step = deviation / std::sqrt(mean_square(0.5 - kChoices / 2.0, kChoices));
  std::array<float, kChoices> values = {};
  for (size_t i = 0; i < kChoices; ++i) {
    values[i] = static_cast<float>(step * (static_cast<double>(i) + 0.5 - kChoices / 2.0));
  }
  return values;
}

// The mean squares of codes and scales; those of types with a minimum are counted from the middle.
constexpr double kFourBits = mean_square(-8, 16);
constexpr double kFourBitsCentred = mean_square(-7.5, 16);
constexpr double kFiveBits = mean_square(-16, 32);
constexpr double kFiveBitsCentred = mean_square(-15.5, 32);
constexpr double kSixBits = mean_square(-32, 64);
constexpr double kUpperSixBits = mean_square(32, 32);

// Each of these turns a block of random bytes into one of its type; `choice` is a random byte more.

struct WithScale {
  WithScale(float deviation, double unit_mean_square)
      : scales(f16_scales(deviation, unit_mean_square)) {}
  template <class Block>
  void operator()(Block& block, uint8_t choice) const {
    block.d = scales[choice];
  }
  std::array<uint16_t, kChoices> scales;
};

// Quantisers do not use the code -128: all codes are made odd.
struct WithOddCodes : WithScale {
  explicit WithOddCodes(float deviation) : WithScale(deviation, 4 * mean_square(-63.5, 128)) {}
  void operator()(BlockQ8_0& block, uint8_t choice) const {
    WithScale::operator()(block, choice);
    for (int8_t& code : block.qs) code = static_cast<int8_t>(code | 1);
  }
};

// With a minimum at which the middle of the codes stands for 0.
struct WithMin : WithScale {
  WithMin(float deviation, double unit_mean_square, float min_over_scale)
      : WithScale(deviation, unit_mean_square) {
    for (size_t i = 0; i < kChoices; ++i) {
      mins[i] = f16_from_float(float_from_f16(scales[i]) * min_over_scale);
    }
  }
  template <class Block>
  void operator()(Block& block, uint8_t choice) const {
    WithScale::operator()(block, choice);
    block.m = mins[choice];
  }
  std::array<uint16_t, kChoices> mins = {};
};

// Where the bits of Q4_K's and Q5_K's are: scale_and_min() in blocks.h.
void make_group_scales(uint8_t (&scales)[12]) {
  for (size_t i = 0; i < 4; ++i) {
    scales[i] |= 0xA0;  // the highest bit of groups i and i + 4
    scales[i + 4] = scales[i];
    const auto low = static_cast<uint8_t>(scales[i + 8] & 0x0F);
    scales[i + 8] = static_cast<uint8_t>(low | low << 4);
  }
}

// Those of Q2_K: a nibble each.
void make_group_scales(uint8_t (&scales)[16]) {
  for (uint8_t& group : scales) {
    const auto scale = static_cast<uint8_t>((group & 0x0F) | 8);
    group = static_cast<uint8_t>(scale | scale << 4);
  }
}

// The K types with minimums. A group's scale is in the upper half of its range, and its minimum is
// the same number, which dmin takes to the middle of the group's codes.
struct WithGroups : WithMin {
  using WithMin::WithMin;
  template <class Block>
  void operator()(Block& block, uint8_t choice) const {
    block.d = scales[choice];
    block.dmin = mins[choice];
    make_group_scales(block.scales);
  }
};

// A scale is a power of two: the one below the wanted scale and the one above it, as often as their
// squares have the wanted mean.
struct WithExponent {
  explicit WithExponent(float deviation) {
    const double wanted = deviation / std::sqrt(mean_square(kMxfp4Values));
    const int power = std::ilogb(wanted);
    const double over_lower = wanted / std::ldexp(1.0, power);  // 1 to 2
    const double share_above = (over_lower * over_lower - 1) / 3;
    for (size_t i = 0; i < kChoices; ++i) {
      const bool above = static_cast<double>(i) < share_above * kChoices;
      exponents[i] = static_cast<uint8_t>(128 + power + (above ? 1 : 0));
    }
  }
  void operator()(BlockMXFP4& block, uint8_t choice) const { block.e = exponents[choice]; }
  std::array<uint8_t, kChoices> exponents = {};
};

// The random bits of a tensor, and the blocks that are to be made of them.
struct Random {
  // Tensors begin at places as far apart as chance puts them, in a period of 2^64.
  uint64_t start = 0;
  uint64_t first_block = 0;
  std::span<std::byte> out;

  uint64_t word(uint64_t i) const { return mixed(start + i); }
};

template <class Block, class Maker>
void make_blocks(const Maker& make, const Random& random) {
  // One word more than a block needs: the choice has bits of its own.
  constexpr size_t kWords = sizeof(Block) / 8 + 1;
  std::array<uint64_t, kWords> words;
  for (size_t i = 0; i < random.out.size() / sizeof(Block); ++i) {
    const uint64_t first_word = (random.first_block + i) * kWords;
    for (size_t w = 0; w < kWords; ++w) words[w] = random.word(first_word + w);
    Block block;
    std::memcpy(&block, words.data(), sizeof block);
    make(block, static_cast<uint8_t>(words.back() >> 56));
    std::memcpy(random.out.data() + i * sizeof block, &block, sizeof block);
  }
}

float to_element(float value, float /*of this type*/) {
  return value;
}

struct F16 {
  uint16_t bits;
};
F16 to_element(float value, F16 /*of this type*/) {
  return {f16_from_float(value)};
}

struct Bf16 {
  uint16_t bits;
};
Bf16 to_element(float value, Bf16 /*of this type*/) {
  return {bf16_from_float(value)};
}

// Each byte of a word chooses one of 256 values.
template <class Element>
void make_elements(float deviation, const Random& random) {
  std::array<Element, kChoices> values;
  const std::array<float, kChoices> even = even_values(deviation);
  for (size_t i = 0; i < kChoices; ++i) values[i] = to_element(even[i], Element());
  const uint64_t end = random.first_block + random.out.size() / sizeof(Element);
  std::byte* out = random.out.data();
  for (uint64_t i = random.first_block; i < end;) {
    uint64_t word = random.word(i / 8) >> (i % 8 * 8);
    for (const uint64_t next = std::min(end, (i / 8 + 1) * 8); i < next; ++i, word >>= 8) {
      std::memcpy(out, &values[word & 0xFF], sizeof(Element));
      out += sizeof(Element);
    }
  }
}

}  // namespace

void draw_blocks(DType type, float deviation, uint64_t seed, uint64_t first_block,
                 std::span<std::byte> out) {
  OCTAVO_CHECK(out.size() % info(type).block_bytes == 0, "{} bytes of {}", out.size(),
               info(type).name);
  const Random random = {mixed(seed ^ 0x6F637461766F2121ULL), first_block, out};
  switch (type) {
    case DType::f32:
      return make_elements<float>(deviation, random);
    case DType::f16:
      return make_elements<F16>(deviation, random);
    case DType::bf16:
      return make_elements<Bf16>(deviation, random);
    case DType::q4_0:
      return make_blocks<BlockQ4_0>(WithScale(deviation, kFourBits), random);
    case DType::q4_1:
      return make_blocks<BlockQ4_1>(WithMin(deviation, kFourBitsCentred, -7.5F), random);
    case DType::q5_0:
      return make_blocks<BlockQ5_0>(WithScale(deviation, kFiveBits), random);
    case DType::q5_1:
      return make_blocks<BlockQ5_1>(WithMin(deviation, kFiveBitsCentred, -15.5F), random);
    case DType::q8_0:
      return make_blocks<BlockQ8_0>(WithOddCodes(deviation), random);
    case DType::q2_k:
      return make_blocks<BlockQ2_K>(
          WithGroups(deviation, mean_square(-1.5, 4) * mean_square(8, 8), 1.5F), random);
    case DType::q3_k:
      return make_blocks<BlockQ3_K>(WithScale(deviation, mean_square(-4, 8) * kSixBits), random);
    case DType::q4_k:
      return make_blocks<BlockQ4_K>(WithGroups(deviation, kFourBitsCentred * kUpperSixBits, 7.5F),
                                    random);
    case DType::q5_k:
      return make_blocks<BlockQ5_K>(WithGroups(deviation, kFiveBitsCentred * kUpperSixBits, 15.5F),
                                    random);
    case DType::q6_k:
      return make_blocks<BlockQ6_K>(WithScale(deviation, kSixBits * mean_square(-128, 256)),
                                    random);
    case DType::iq4_nl:
      return make_blocks<BlockIQ4_NL>(WithScale(deviation, mean_square(kIq4Values)), random);
    case DType::iq4_xs:
      return make_blocks<BlockIQ4_XS>(WithScale(deviation, mean_square(kIq4Values) * kSixBits),
                                      random);
    case DType::mxfp4:
      return make_blocks<BlockMXFP4>(WithExponent(deviation), random);
  }
  OCTAVO_CHECK(false, "unknown type {}", static_cast<int>(type));
}

}  // namespace octavo::gguf
