// Every operation of the CUDA backend against double precision, or against the CPU backend (whose
// instruction sets all give the same bits), over the same inputs. Without a GPU, each test says
// that it was skipped.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/create_cuda_backend.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/weight_layout.h"
#include "backend/cuda_test_tools.h"
#include "backend/linear_cases.h"
#include "backend/random_values.h"
#include "backend/simple_batch.h"
#include "gguf/dequantize.h"

namespace octavo::cuda {
namespace {

using cpu::testing::random_tensor;

// Unit roundoffs of what a product's factors are rounded to.
constexpr double kF16Roundoff = 0x1p-11;
constexpr double kBf16Roundoff = 0x1p-8;
constexpr size_t kMostFewRows = 8;

std::unique_ptr<Backend> cpu_backend() {
  return cpu::CpuBackend::create({2, ""}).value();
}

class CudaOperations : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
    gpu_ = create_cuda_backend({.threads = 2}).value();
    cpu_ = cpu_backend();
  }
  std::unique_ptr<Backend> gpu_;
  std::unique_ptr<Backend> cpu_;
};

double norm_of(std::span<const float> values) {
  double squares = 0.0;
  for (const float value : values) squares += double{value} * double{value};
  return std::sqrt(squares);
}

// The norm of the difference over that of `expected`.
double relative_error(std::span<const float> values, std::span<const float> expected) {
  std::vector<float> difference(values.size());
  for (size_t i = 0; i < values.size(); ++i) difference[i] = values[i] - expected[i];
  const double size = norm_of(expected);
  return norm_of(difference) / (size > 0.0 ? size : 1.0);
}

std::vector<float> dequantize(DType type, const std::vector<std::byte>& tensor, size_t rows,
                              size_t columns) {
  std::vector<float> out(rows * columns);
  for (size_t row = 0; row < rows; ++row) {
    gguf::dequantize_row(type, tensor.data() + row * row_bytes(type, columns),
                         out.data() + row * columns, columns);
  }
  return out;
}

// One product: W [outputs, inner] of a type, with `rows` rows of x.
struct Product {
  DType type;
  size_t outputs;
  size_t inner;
  size_t rows;
  bool deterministic = false;  // the backend is
};

std::vector<float> multiply(Backend& backend, const Product& shape, const std::vector<float>& x,
                            const std::vector<std::byte>& tensor, const std::vector<float>& bias) {
  const auto outputs = static_cast<int64_t>(shape.outputs);
  const auto weight = upload(backend, shape.type, outputs, static_cast<int64_t>(shape.inner),
                             tensor.data(), WeightUse::matrix);
  const auto added = upload(backend, DType::f32, 1, outputs, bias.data(), WeightUse::vector);
  SimpleBatch batch(count_up(static_cast<int64_t>(shape.rows)));
  backend.begin_step(batch.batch);
  const Tensor in = bring(backend, x, batch.batch);
  const Tensor out = backend.scratch(in.rows, outputs);
  const Projection projection{weight.get(), added.get(), out};
  backend.linear(in, std::span(&projection, 1), batch.batch);
  return read(backend, out);
}

// What rounding of the factors may do to a sum of products w * x, whose magnitudes add up to
// `size`: factors in floats, in 16 bits, or x in bytes, where a chunk of 32 is rounded to 1/127 of
// its greatest value.
double allowed_error(const Product& shape, const float* w, const float* x, double size) {
  if (shape.type == DType::f32) return 0x1p-20 * size;
  const bool whole_chunks = shape.inner % 32 == 0;
  if (shape.deterministic && whole_chunks) {
    return 2.1 * (shape.type == DType::bf16 ? kBf16Roundoff : kF16Roundoff) * size;
  }
  if (is_quantized(shape.type) && shape.rows <= kMostFewRows) {
    double error = 1e-5 * size;
    for (size_t chunk = 0; chunk < shape.inner; chunk += 32) {
      double greatest = 0.0;
      double weights = 0.0;
      for (size_t k = chunk; k < chunk + 32; ++k) {
        greatest = std::max(greatest, std::abs(double{x[k]}));
        weights += std::abs(double{w[k]});
      }
      error += 0.51 * greatest / 127.0 * weights;
    }
    return error;
  }
  if (!whole_chunks || shape.rows <= kMostFewRows) return 0x1p-20 * size;
  // What is the library's on some device is multiplied in bf16 there, and elsewhere in f16.
  const bool f16 = shape.type == DType::f16 || (is_quantized(shape.type) && shape.rows <= 32);
  return 2.1 * (f16 ? kF16Roundoff : kBf16Roundoff) * size;
}

void expect_product(Backend& backend, const Product& shape, std::mt19937_64& random) {
  const std::vector<std::byte> tensor =
      random_tensor(shape.type, shape.outputs * shape.inner, random);
  const std::vector<float> x = cpu::testing::random_activations(shape.rows, shape.inner, random);
  std::vector<float> bias(shape.outputs);
  for (float& value : bias) value = cpu::testing::random_float(random);
  const std::vector<float> out = multiply(backend, shape, x, tensor, bias);
  const std::vector<float> weight = dequantize(shape.type, tensor, shape.outputs, shape.inner);
  for (size_t row = 0; row < shape.rows; ++row) {
    for (size_t o = 0; o < shape.outputs; ++o) {
      const float* w = weight.data() + o * shape.inner;
      const float* in = x.data() + row * shape.inner;
      double sum = double{bias[o]};
      double size = std::abs(sum) + 1e-6;
      for (size_t k = 0; k < shape.inner; ++k) {
        sum += double{w[k]} * double{in[k]};
        size += std::abs(double{w[k]} * double{in[k]});
      }
      ASSERT_NEAR(double{out[row * shape.outputs + o]}, sum, allowed_error(shape, w, in, size))
          << info(shape.type).name << " [" << shape.outputs << ", " << shape.inner << "], "
          << shape.rows << " rows: row " << row << ", output " << o;
    }
  }
}

TEST_F(CudaOperations, ProductsOfEveryTypeAgreeWithDoublePrecision) {
  std::mt19937_64 random(11);
  for (const DTypeInfo& type : kDTypes) {
    const size_t block = type.block_elements;
    const size_t one = block == 1 ? 32 : block;
    for (const size_t rows : {1, 2, 3, 8, 9, 33, 64, 65, 130, 300, 600}) {
      if (!is_taken()) continue;
      expect_product(*gpu_, {type.type, 130, 2 * one, rows}, random);
    }
    expect_product(*gpu_, {type.type, 1, one, 1}, random);
    expect_product(*gpu_, {type.type, 17, 3 * one, 5}, random);
    expect_product(*gpu_, {type.type, 200, block == 256 ? size_t{1024} : size_t{36 * 32}, 40},
                   random);
    if (block == 1) {
      expect_product(*gpu_, {type.type, 33, 31, 9}, random);
      expect_product(*gpu_, {type.type, 70, 101, 4}, random);
      expect_product(*gpu_, {type.type, 70, 101, 300}, random);
    }
  }
}

TEST_F(CudaOperations, AProductsRowDoesNotDependOnItsNeighboursInDeterministicMode) {
  const auto backend = create_cuda_backend({.threads = 1, .deterministic = true}).value();
  std::mt19937_64 random(12);
  for (const DTypeInfo& type : kDTypes) {
    if (!is_taken()) continue;
    // Cut into 7 parts, the last shorter than the others. A block adds up those of many rows.
    constexpr size_t kOutputs = 2000;
    constexpr size_t kInner = 2560;
    constexpr size_t kRows = 1100;
    const std::vector<std::byte> tensor = random_tensor(type.type, kOutputs * kInner, random);
    const std::vector<float> x = cpu::testing::random_activations(kRows, kInner, random);
    const std::vector<float> bias(kOutputs, 0.5F);
    const std::vector<float> all =
        multiply(*backend, {type.type, kOutputs, kInner, kRows}, x, tensor, bias);
    for (const size_t rows : {1, 2, 8, 9, 33, 64, 65, 257, 1024}) {
      const std::vector<float> some(x.begin(), x.begin() + static_cast<int64_t>(rows * kInner));
      const std::vector<float> out =
          multiply(*backend, {type.type, kOutputs, kInner, rows}, some, tensor, bias);
      EXPECT_TRUE(same_bits(out, std::span(all).first(out.size())))
          << type.name << ", " << rows << " rows";
    }
    const size_t one = type.block_elements == 1 ? 32 : type.block_elements;
    for (const size_t count : {1, 40, 130}) {
      expect_product(*backend, {type.type, 130, 3 * one, count, /*deterministic=*/true}, random);
    }
    // As many tiles as multiprocessors: each block of few rows has a part of the sum all the same.
    for (const size_t count : {1, 17}) {
      expect_product(*backend, {type.type, 132 * 128, 512, count, /*deterministic=*/true}, random);
    }
  }
}

TEST_F(CudaOperations, EmbedGivesTheFilesValues) {
  std::mt19937_64 random(13);
  for (const DTypeInfo& type : kDTypes) {
    const size_t columns = type.block_elements == 1 ? 100 : 2 * type.block_elements;
    const std::vector<std::byte> tensor = random_tensor(type.type, 7 * columns, random);
    const std::vector<float> values = dequantize(type.type, tensor, 7, columns);
    const auto table =
        upload(*gpu_, type.type, 7, static_cast<int64_t>(columns), tensor.data(), WeightUse::table);
    SimpleBatch batch({6, 0, 3, 3, 5});
    gpu_->begin_step(batch.batch);
    const Tensor out = gpu_->scratch(5, static_cast<int64_t>(columns));
    gpu_->embed(out, *table, 1.5F, batch.batch);
    const std::vector<float> found = read(*gpu_, out);
    for (size_t row = 0; row < 5; ++row) {
      for (size_t i = 0; i < columns; ++i) {
        const auto token = static_cast<size_t>(batch.tokens[row]);
        ASSERT_EQ(found[row * columns + i], 1.5F * values[token * columns + i]) << type.name;
      }
    }
  }
}

TEST_F(CudaOperations, RowOperationsAgreeWithTheCpus) {
  std::mt19937 random(14);
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {3, 8}, {2, 15}, {7, 64}, {4, 513}, {40, 1000}, {1, 9000}, {300, 576}}) {
    const auto count = static_cast<size_t>(rows * columns);
    const std::vector<float> x = random_values(random, count, 3.0F);
    const std::vector<float> y = random_values(random, count, 2.0F);
    const std::vector<float> scale = random_values(random, static_cast<size_t>(columns));
    std::vector<std::vector<float>> results[2];
    Backend* backends[2] = {gpu_.get(), cpu_.get()};
    for (int i = 0; i < 2; ++i) {
      Backend& backend = *backends[i];
      const auto weight = upload(backend, DType::f32, 1, columns, scale.data(), WeightUse::vector);
      SimpleBatch batch(count_up(rows));
      std::vector<int32_t> wanted = {static_cast<int32_t>(rows - 1)};
      if (rows > 2) wanted.insert(wanted.begin(), 1);
      batch.batch.output_rows = wanted;
      backend.begin_step(batch.batch);
      const Tensor a = bring(backend, x, batch.batch);
      const Tensor b = bring(backend, y, batch.batch);
      const Tensor out = backend.scratch(rows, columns);
      const auto keep = [&](Tensor tensor) { results[i].push_back(read(backend, tensor)); };
      backend.norm(out, a, *weight, 1e-5F);
      keep(out);
      backend.add_norm(out, a, b, *weight, 1e-5F);
      keep(out);
      keep(a);
      backend.add(a, b);
      keep(a);
      backend.gate(a, b, Activation::silu);
      keep(a);
      backend.gate(a, b, Activation::gelu_tanh);
      keep(a);
      backend.soft_cap(a, 5.0F);
      keep(a);
      keep(backend.output_rows(a, batch.batch));
    }
    for (size_t k = 0; k < results[0].size(); ++k) {
      EXPECT_LE(relative_error(results[0][k], results[1][k]), 2e-6)
          << "operation " << k << " of [" << rows << ", " << columns << "]";
    }
  }
}

// A norm, or a gate, rounds its result for the product that follows it at once. `apart` keeps them
// from knowing of each other.
std::vector<float> norm_and_multiply(Backend& backend, DType type, int64_t rows, int64_t columns,
                                     bool gates, bool apart) {
  constexpr int64_t kOutputs = 96;
  std::mt19937_64 random(16);
  const auto size = static_cast<size_t>(columns);
  const std::vector<std::byte> tensor = random_tensor(type, kOutputs * size, random);
  const auto matrix = upload(backend, type, kOutputs, columns, tensor.data(), WeightUse::matrix);
  const std::vector<float> ones(size, 1.0F);
  const auto scale = upload(backend, DType::f32, 1, columns, ones.data(), WeightUse::vector);
  const std::vector<float> x =
      cpu::testing::random_activations(static_cast<size_t>(rows), size, random);
  SimpleBatch batch(count_up(rows));
  backend.begin_step(batch.batch);
  const Tensor in = bring(backend, x, batch.batch);
  const Tensor out = backend.scratch(rows, kOutputs);
  if (gates) {
    backend.gate(in, bring(backend, x, batch.batch), Activation::silu);
  } else {
    backend.norm(in, in, *scale, 1e-5F);
  }
  if (apart) read(backend, in);
  const Projection projection{matrix.get(), nullptr, out};
  backend.linear(in, std::span(&projection, 1), batch.batch);
  return read(backend, out);
}

TEST_F(CudaOperations, RoundingWithTheOperationBeforeChangesNoBit) {
  for (const DType type : {DType::q4_k, DType::q8_0}) {
    for (const int64_t rows : {1, 3, 8, 40, 130, 300}) {
      for (const int64_t columns : {512, 768, 1024, 8192, 8448}) {
        for (const bool gates : {false, true}) {
          if (!is_taken()) continue;
          const auto together = norm_and_multiply(*gpu_, type, rows, columns, gates, false);
          const auto apart = norm_and_multiply(*gpu_, type, rows, columns, gates, true);
          EXPECT_TRUE(same_bits(together, apart)) << info(type).name << ", [" << rows << ", "
                                                  << columns << "], " << (gates ? "gate" : "norm");
        }
      }
    }
  }
}

struct Attention {
  DType type;
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t window;
  int32_t block_size;
  float soft_cap;
  bool interleaved;
};

RopeTable make_rope(const Attention& shape) {
  RopeTable rope;
  rope.interleaved = shape.interleaved;
  for (int32_t i = 0; i < shape.head_dim / 2 - shape.head_dim / 8; ++i) {
    const float share = static_cast<float>(i) / static_cast<float>(shape.head_dim);
    rope.frequencies.push_back(std::pow(10000.0F, -2.0F * share));
  }
  return rope;
}

// Stores the keys and values in two steps and gives the attention of the second, which computes the
// last rows of each sequence. What sequence i holds is drawn for first_sequence + i.
std::vector<float> attend(Backend& backend, const Attention& shape,
                          const std::vector<Sequence>& sequences, uint32_t seed,
                          size_t first_sequence = 0) {
  KvShape kv;
  kv.block_size = shape.block_size;
  kv.layers_per_block = 2;
  kv.kv_heads = shape.kv_heads;
  kv.head_dim = shape.head_dim;
  kv.type = shape.type;
  kv.groups = {{shape.window, {0, 1}}};
  int32_t blocks = 1;
  const auto tables = make_tables(sequences, shape.block_size, blocks);
  const auto store = backend.create_kv_store(kv, blocks).value();
  EXPECT_TRUE(store->commit(0, blocks).ok());
  const RopeTable rope = make_rope(shape);

  std::vector<float> out;
  for (const bool last : {false, true}) {
    AttentionStep step;
    std::vector<float> values[3];  // q, k, v
    for (size_t s = 0; s < sequences.size(); ++s) {
      const auto [length, rows] = sequences[s];
      const int32_t count = last ? rows : length - rows;
      if (count == 0) continue;
      const int32_t first = last ? length - rows : 0;
      step.add(tables[s], shape.block_size, first, first + count);
      std::mt19937 random(seed + 1000 * static_cast<uint32_t>(first_sequence + s) + (last ? 1 : 0));
      for (const int which : {0, 1, 2}) {
        const int32_t heads = which == 0 ? shape.heads : shape.kv_heads;
        const int32_t values_drawn = count * heads * shape.head_dim;
        const std::vector<float> drawn = random_values(random, static_cast<size_t>(values_drawn));
        values[which].insert(values[which].end(), drawn.begin(), drawn.end());
      }
    }
    if (step.positions.empty()) continue;
    const Batch batch = step.batch();
    backend.begin_step(batch);
    const Tensor q = bring(backend, values[0], batch);
    const Tensor k = bring(backend, values[1], batch);
    const Tensor v = bring(backend, values[2], batch);
    const Tensor attended = backend.scratch(q.rows, q.columns);
    backend.rope_and_store(q, k, v, 1, rope, batch, *store);
    const float scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
    backend.attention(attended, q, 1, {scale, shape.soft_cap}, batch, *store);
    out = read(backend, attended);
  }
  return out;
}

TEST_F(CudaOperations, AttentionAgreesWithTheCpus) {
  const std::vector<Sequence> sequences = {{1, 1},   {300, 300}, {777, 1}, {520, 30}, {17, 17},
                                           {256, 1}, {257, 2},   {33, 1},  {1300, 70}};
  std::vector<Attention> shapes;
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    shapes.push_back({type, 8, 2, 128, 0, 16, 0.0F, true});
    shapes.push_back({type, 9, 3, 64, 0, 32, 0.0F, false});
    shapes.push_back({type, 4, 1, 256, 100, 16, 0.0F, false});
    shapes.push_back({type, 2, 2, 96, 0, 256, 20.0F, false});
    shapes.push_back({type, 6, 2, 80, 40, 16, 0.0F, true});
    shapes.push_back({type, 3, 3, 8, 0, 16, 0.0F, true});
    shapes.push_back({type, 40, 2, 128, 300, 16, 0.0F, true});
  }
  uint32_t seed = 100;
  for (const Attention& shape : shapes) {
    if (!is_taken()) continue;
    seed += 2;
    const std::vector<float> found = attend(*gpu_, shape, sequences, seed);
    const std::vector<float> expected = attend(*cpu_, shape, sequences, seed);
    // The store rounds keys and values alike on both; queries and weights are rounded here alone.
    const double roundoff = shape.type == DType::f32   ? 0x1p-18
                            : shape.type == DType::f16 ? 4 * kF16Roundoff
                                                       : 4 * kBf16Roundoff;
    EXPECT_LE(relative_error(found, expected), roundoff)
        << info(shape.type).name << ", heads of " << shape.head_dim << ", window " << shape.window;
  }
}

TEST_F(CudaOperations, AttentionOfASequenceDoesNotDependOnItsNeighbours) {
  const std::vector<Sequence> sequences = {{700, 1}, {900, 40}, {400, 400}, {1300, 1}, {5, 5}};
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    if (!is_taken()) continue;
    const Attention shape{type, 8, 2, 128, 0, 16, 0.0F, true};
    const std::vector<float> crowd = attend(*gpu_, shape, sequences, 5);
    size_t at = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::vector<float> alone = attend(*gpu_, shape, {sequences[s]}, 5, s);
      EXPECT_TRUE(same_bits(alone, std::span(crowd).subspan(at, alone.size())))
          << info(type).name << ", sequence " << s;
      at += alone.size();
    }
  }
}

TEST_F(CudaOperations, BlocksAreCopiedAndSwapped) {
  KvShape kv;
  kv.layers_per_block = 3;
  kv.kv_heads = 2;
  kv.head_dim = 64;
  kv.groups = {{0, {0, 1, 2}}};
  const auto store = gpu_->create_kv_store(kv, 5000).value();
  const auto bytes = static_cast<size_t>(kv.block_bytes());
  std::mt19937_64 random(15);
  std::vector<std::byte> host(4 * bytes);
  for (std::byte& byte : host) byte = static_cast<std::byte>(random() >> 56);
  const std::vector<std::byte> before = host;
  const std::vector<BlockSwap> in = {{4999, 1}, {7, 0}};
  const auto commit = [&store] {
    for (const int64_t block : {7, 12, 4999}) {
      EXPECT_TRUE(store->commit(block, 1).ok());
    }
  };
  commit();
  gpu_->swap_blocks(*store, host.data(), in, SwapDirection::in);
  const std::vector<BlockCopy> copies = {{0, 4999, 12}};
  gpu_->copy_blocks(*store, copies);
  const std::vector<BlockSwap> out = {{12, 3}, {7, 2}};
  gpu_->swap_blocks(*store, host.data(), out, SwapDirection::out);
  EXPECT_TRUE(std::equal(before.begin() + static_cast<int64_t>(bytes),
                         before.begin() + static_cast<int64_t>(2 * bytes),
                         host.begin() + static_cast<int64_t>(3 * bytes)));
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + static_cast<int64_t>(bytes),
                         host.begin() + static_cast<int64_t>(2 * bytes)));
  store->release(0, 5000);
  commit();  // and it can be written again
  gpu_->swap_blocks(*store, host.data(), in, SwapDirection::in);
}

// What other programs take of the device is missing to the store, until they give it back.
TEST_F(CudaOperations, AStoreSaysThatThereIsNoMemory) {
  KvShape kv;
  kv.layers_per_block = 32;
  kv.kv_heads = 8;
  kv.head_dim = 128;  // 2 MiB a block
  kv.groups = {{0, std::vector<int32_t>(32)}};
  std::iota(kv.groups[0].layers.begin(), kv.groups[0].layers.end(), 0);
  constexpr int64_t kBlocks = 512;
  const auto store = gpu_->create_kv_store(kv, kBlocks).value();
  ASSERT_TRUE(store->commit(0, 8).ok());
  {
    const size_t left = size_t{256} << 20;
    const auto others = DeviceBuffer::create(device_memory().free - left, "other programs").value();
    const Result<void> refused = store->commit(0, kBlocks);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("no memory for"), std::string::npos)
        << refused.error().message;
  }
  EXPECT_TRUE(store->commit(0, kBlocks).ok());
  store->release(0, kBlocks);
}

}  // namespace
}  // namespace octavo::cuda
