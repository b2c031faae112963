// The matrix product of the CPU kernels: against an independent reference in double precision, and
// bit for bit between instruction sets, numbers of rows and partitions of the work.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/linear_cases.h"
#include "gguf/dequantize.h"

namespace octavo::cpu {
namespace {

using namespace octavo::cpu::testing;

constexpr uint64_t kSeed = 20240607;

std::string label(const LinearCase& c) {
  return fmt::format("{} [{}, {}] x {} rows, seed {}", info(c.type).name, c.rows, c.columns,
                     c.activation_rows, kSeed);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct CaseData {
  explicit CaseData(const LinearCase& c) {
    std::mt19937_64 random(kSeed);
    tensor = random_tensor(c.type, c.rows * c.columns, random);
    x = random_activations(c.activation_rows, c.columns, random);
  }
  std::vector<std::byte> tensor;
  std::vector<float> x;
};

// The weights with all codes zero: minus the minimum that the types with one subtract, which the
// kernel adds up apart from the codes, so that its rounding errors grow with it.
std::vector<std::byte> without_codes(DType type, std::vector<std::byte> tensor) {
  const auto clear = [&](size_t offset, size_t bytes) {
    for (size_t at = 0; at < tensor.size(); at += info(type).block_bytes) {
      std::memset(tensor.data() + at + offset, 0, bytes);
    }
  };
  switch (type) {
    case DType::q4_1:
      clear(offsetof(gguf::BlockQ4_1, qs), 16);
      break;
    case DType::q5_1:
      clear(offsetof(gguf::BlockQ5_1, qh), 20);
      break;
    case DType::q2_k:
      clear(offsetof(gguf::BlockQ2_K, qs), 64);
      break;
    case DType::q4_k:
      clear(offsetof(gguf::BlockQ4_K, qs), 128);
      break;
    case DType::q5_k:
      clear(offsetof(gguf::BlockQ5_K, qh), 32 + 128);
      break;
    default:
      clear(0, info(type).block_bytes);
      break;  // no minimum: nothing is left
  }
  return tensor;
}

std::vector<float> dequantize(DType type, const std::vector<std::byte>& tensor, size_t elements) {
  std::vector<float> out(elements);
  gguf::dequantize_row(type, tensor.data(), out.data(), elements);
  return out;
}

// The activations as the kernel sees them, and how far each may be from the original.
struct SeenActivations {
  std::vector<double> value;
  std::vector<double> rounding;
};

SeenActivations seen_activations(const LinearCase& c, const std::vector<float>& x) {
  SeenActivations out{{x.begin(), x.end()}, std::vector<double>(x.size(), 0.0)};
  if (!takes_quantized_activations(c.type)) return out;
  const auto chunks = quantize(*find_kernels("scalar"), x, c.activation_rows, c.columns);
  for (size_t i = 0; i < x.size(); ++i) {
    const ActivationChunk& chunk = chunks[i / kChunk];
    out.value[i] = static_cast<double>(chunk.scale) * chunk.codes[i % kChunk];
    // Half a step, and a little for the rounding of the step itself.
    out.rounding[i] = 0.5 * static_cast<double>(chunk.scale) * (1 + 1e-4);
  }
  return out;
}

TEST(CpuLinear, AgreesWithDoublePrecision) {
  for (const LinearCase& c : linear_cases()) {
    SCOPED_TRACE(label(c));
    const CaseData data(c);
    const auto w = dequantize(c.type, data.tensor, c.rows * c.columns);
    const auto minima = dequantize(c.type, without_codes(c.type, data.tensor), c.rows * c.columns);
    const SeenActivations seen = seen_activations(c, data.x);
    const PackedWeight weight = pack(c.type, c.rows, c.columns, data.tensor.data());
    const auto out = multiply(best_kernels(), weight, data.x, c.activation_rows, c.activation_rows,
                              weight.groups());
    // Roundings behind an output element: at most four a chunk in the sum, a few in its terms and
    // in the weights of the reference.
    const double roundings = takes_quantized_activations(c.type)
                                 ? 4.0 * static_cast<double>(c.columns) / kChunk + 8
                                 : static_cast<double>(c.columns);
    for (size_t row = 0; row < c.activation_rows; ++row) {
      for (size_t o = 0; o < c.rows; ++o) {
        double sum = 0;
        double exact = 0;
        double norm = 0;
        double activation_error = 0;
        for (size_t i = 0; i < c.columns; ++i) {
          const size_t at = row * c.columns + i;
          const double value = w[o * c.columns + i];
          const double minimum = minima[o * c.columns + i];
          sum += value * seen.value[at];
          exact += value * static_cast<double>(data.x[at]);
          norm += (std::fabs(value) + 2 * std::fabs(minimum)) * std::fabs(seen.value[at]);
          activation_error += std::fabs(value) * seen.rounding[at];
        }
        const double got = out[row * c.rows + o];
        const double tolerance = roundings * 0x1p-24 * norm;
        ASSERT_NEAR(got, sum, tolerance) << "row " << row << " output " << o;
        ASSERT_NEAR(got, exact, tolerance + activation_error) << "row " << row << " output " << o;
      }
    }
  }
}

TEST(CpuLinear, BitsAreTheSameOnEveryInstructionSet) {
  for (const LinearCase& c : linear_cases()) {
    SCOPED_TRACE(label(c));
    const CaseData data(c);
    const PackedWeight weight = pack(c.type, c.rows, c.columns, data.tensor.data());
    const auto expected = multiply(*find_kernels("scalar"), weight, data.x, c.activation_rows,
                                   c.activation_rows, weight.groups());
    for (const Kernels* kernels : available_kernels()) {
      EXPECT_TRUE(same_bits(expected, multiply(*kernels, weight, data.x, c.activation_rows,
                                               c.activation_rows, weight.groups())))
          << kernels->name;
    }
  }
}

TEST(CpuLinear, BitsDependOnNeitherRowsNorPartition) {
  for (const LinearCase& c : linear_cases()) {
    SCOPED_TRACE(label(c));
    const CaseData data(c);
    const PackedWeight weight = pack(c.type, c.rows, c.columns, data.tensor.data());
    for (const Kernels* kernels : available_kernels()) {
      const auto whole =
          multiply(*kernels, weight, data.x, c.activation_rows, c.activation_rows, weight.groups());
      for (const size_t rows_at_once : {1, 2, 3, 7, 8}) {
        for (const size_t groups_at_once : {1, 3}) {
          EXPECT_TRUE(same_bits(whole, multiply(*kernels, weight, data.x, c.activation_rows,
                                                rows_at_once, groups_at_once)))
              << kernels->name << ", " << rows_at_once << " rows and " << groups_at_once
              << " groups at once";
        }
      }
    }
  }
}

// Many rows, so that they are worked on in several blocks.
TEST(CpuLinear, BlocksOfRowsKeepTheBits) {
  const LinearCase c{DType::q8_0, 20, 4096, 70};
  const CaseData data(c);
  const PackedWeight weight = pack(c.type, c.rows, c.columns, data.tensor.data());
  const auto whole = multiply(best_kernels(), weight, data.x, c.activation_rows, c.activation_rows,
                              weight.groups());
  EXPECT_TRUE(same_bits(whole, multiply(best_kernels(), weight, data.x, c.activation_rows, 1, 1)));
}

TEST(CpuLinear, PackedWeightsAreHardlyLargerThanTheFile) {
  for (const DTypeInfo& type : kDTypes) {
    const size_t rows = 64;
    const size_t columns = 4096;
    const auto weight = PackedWeight::create(type.type, rows, columns);
    ASSERT_TRUE(weight.ok());
    const auto file_bytes = static_cast<double>(rows * row_bytes(type.type, columns));
    EXPECT_LE(static_cast<double>(weight->bytes()), 1.04 * file_bytes) << type.name;
  }
}

TEST(CpuLinear, RefusesColumnsThatAreNoWholeBlocks) {
  const auto odd = PackedWeight::create(DType::q4_k, 16, 288);
  ASSERT_FALSE(odd.ok());
  EXPECT_NE(odd.error().message.find("Q4_K"), std::string::npos);
  EXPECT_NE(odd.error().message.find("288"), std::string::npos);
  EXPECT_FALSE(PackedWeight::create(DType::f32, 0, 8).ok());
  EXPECT_FALSE(PackedWeight::create(DType::f32, size_t{1} << 40, size_t{1} << 40).ok());
}

TEST(CpuQuantize, RoundsToHalfAStepAndSumsTheCodes) {
  std::mt19937_64 random(kSeed);
  const size_t rows = 3;
  const size_t columns = 5 * kChunk;
  const auto x = random_activations(rows, columns, random);
  for (const Kernels* kernels : available_kernels()) {
    SCOPED_TRACE(kernels->name);
    const auto chunks = quantize(*kernels, x, rows, columns);
    for (size_t c = 0; c < chunks.size(); ++c) {
      const ActivationChunk& chunk = chunks[c];
      float greatest = 0;
      int32_t sums[2] = {0, 0};
      for (size_t i = 0; i < kChunk; ++i) {
        const float value = x[c * kChunk + i];
        greatest = std::max(greatest, std::fabs(value));
        sums[i / 16] += chunk.codes[i];
        EXPECT_NEAR(value, chunk.scale * static_cast<float>(chunk.codes[i]),
                    chunk.scale * 0.50001f);
      }
      EXPECT_EQ(chunk.scale, greatest / 127.0f);
      EXPECT_EQ(chunk.negative_half_sums[0], -sums[0]);
      EXPECT_EQ(chunk.negative_half_sums[1], -sums[1]);
      EXPECT_EQ(chunk.negative_sum, -sums[0] - sums[1]);
      EXPECT_EQ(chunk.scaled_sum, chunk.scale * static_cast<float>(sums[0] + sums[1]));
      EXPECT_EQ(chunk.scaled_half_sums[0], chunk.scale * static_cast<float>(sums[0]));
      EXPECT_EQ(chunk.scaled_half_sums[1], chunk.scale * static_cast<float>(sums[1]));
    }
  }
}

TEST(CpuQuantize, ExtremesAreDefined) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Kernels* kernels : available_kernels()) {
    SCOPED_TRACE(kernels->name);
    for (const float value : {0.0f, 1e-40f, -1e-31f}) {  // so small that they become zero
      std::vector<float> x(kChunk, value);
      const auto chunk = quantize(*kernels, x, 1, kChunk).front();
      EXPECT_EQ(chunk.scale, 0.0f);
      EXPECT_EQ(chunk.codes[7], 0);
    }
    for (const float value : {1e-29f, 3.4e38f}) {  // both ends of what is kept
      std::vector<float> x(kChunk, -value);
      const auto chunk = quantize(*kernels, x, 1, kChunk).front();
      EXPECT_NEAR(chunk.scale * 127 / value, 1, 1e-6);
      EXPECT_EQ(chunk.codes[31], -127);
    }
    for (const float value : {infinity, -infinity, nan}) {  // shows in every product
      std::vector<float> x(2 * kChunk, 1.0f);
      x[kChunk + 5] = value;
      const auto tensor = std::vector<std::byte>(row_bytes(DType::q4_1, 2 * kChunk));
      const PackedWeight weight = pack(DType::q4_1, 1, 2 * kChunk, tensor.data());
      EXPECT_TRUE(std::isnan(multiply(*kernels, weight, x, 1, 1, 1)[0]));
    }
  }
}

TEST(CpuKernels, AreFoundByName) {
  EXPECT_EQ(&best_kernels(), available_kernels().front());
  EXPECT_STREQ(available_kernels().back()->name, "scalar");
  for (const Kernels* kernels : available_kernels()) {
    EXPECT_EQ(find_kernels(kernels->name), kernels);
  }
  EXPECT_EQ(find_kernels("sse9"), nullptr);
  EXPECT_EQ(find_kernels(""), nullptr);
}

}  // namespace
}  // namespace octavo::cpu
