// The CPU backend as the engine and the models use it: options, weights, steps, rope, samples.
#include "backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_kv_store.h"
#include "backend/random_values.h"
#include "backend/simple_batch.h"
#include "base/float16.h"
#include "gguf/blocks.h"
#include "gguf/dequantize.h"

namespace octavo::cpu {
namespace {

std::unique_ptr<CpuBackend> make_backend(int threads = 1) {
  return CpuBackend::create({threads, ""}).value();
}

WeightSource source_of(const std::vector<std::byte>& bytes, DType type, int64_t rows,
                       int64_t columns) {
  return {"blk.0.weight", type, rows, columns, bytes.data()};
}

// A tensor of small values: block scales about 1, codes random.
std::vector<std::byte> random_tensor(std::mt19937& random, DType type, int64_t rows,
                                     int64_t columns) {
  const auto values = random_values(random, static_cast<size_t>(rows * columns));
  std::vector<std::byte> bytes(row_bytes(type, values.size()));
  if (type == DType::f32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  } else if (type == DType::f16) {
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = f16_from_float(values[i]);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  } else {
    EXPECT_EQ(type, DType::q8_0);
    for (size_t block = 0; block < bytes.size(); block += 34) {
      const uint16_t scale = f16_from_float(0.01F * static_cast<float>(random_int(random, 1, 9)));
      std::memcpy(bytes.data() + block, &scale, 2);
      for (size_t i = 2; i < 34; ++i) {
        bytes[block + i] = static_cast<std::byte>(random_int(random, 0, 255));
      }
    }
  }
  return bytes;
}

TEST(CpuBackend, RefusesBadOptions) {
  const auto no_threads = CpuBackend::create({0, ""});
  ASSERT_FALSE(no_threads.ok());
  EXPECT_NE(no_threads.error().message.find("threads: 0"), std::string::npos);
  const auto unknown = CpuBackend::create({1, "sse9"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("'sse9'"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("scalar"), std::string::npos);
}

TEST(CpuBackend, RunsTheInstructionSetItWasAskedFor) {
  for (const Kernels* kernels : available_kernels()) {
    const auto backend = CpuBackend::create({2, kernels->name}).value();
    EXPECT_EQ(backend->description(), fmt::format("cpu ({}, 2 threads)", kernels->name));
  }
  EXPECT_EQ(make_backend()->description(), fmt::format("cpu ({}, 1 thread)", best_kernels().name));
}

TEST(CpuBackend, RefusesWeightsThatDoNotFit) {
  const std::vector<std::byte> bytes(4096);
  const auto backend = make_backend();
  const auto message = [&](const WeightSource& source, WeightUse use, Split split) {
    const auto weight = backend->upload(source, use, split);
    return weight.ok() ? std::string() : weight.error().message;
  };
  for (const WeightUse use : {WeightUse::matrix, WeightUse::table, WeightUse::vector}) {
    const std::string text = message(source_of(bytes, DType::q8_0, 1, 40), use, Split::none);
    EXPECT_NE(text.find("'blk.0.weight'"), std::string::npos) << text;
    EXPECT_FALSE(message(source_of(bytes, DType::f32, 0, 40), use, Split::none).empty());
    EXPECT_FALSE(message(source_of(bytes, DType::f32, 4, 0), use, Split::none).empty());
    EXPECT_FALSE(
        message(source_of(bytes, DType::f32, int64_t{1} << 40, 1 << 20), use, Split::none).empty());
  }
  EXPECT_FALSE(message(source_of(bytes, DType::f32, 2, 8), WeightUse::vector, Split::none).empty());
  EXPECT_FALSE(message(source_of(bytes, DType::f32, 2, 8), WeightUse::matrix, Split::rows).empty());
}

// Three weights of different types with one input, two of them with a bias.
class CpuProjections : public testing::Test {
 protected:
  static constexpr int64_t kColumns = 96;
  static constexpr size_t kRows = 21;

  CpuProjections() {
    for (size_t i = 0; i < types_.size(); ++i) {
      tensors_.push_back(random_tensor(random_, types_[i], outputs_[i], kColumns));
      biases_.push_back(random_values(random_, static_cast<size_t>(outputs_[i])));
    }
    std::fill(biases_[0].begin(), biases_[0].end(), 0.0F);
    x_ = random_values(random_, kRows * kColumns);
  }

  // The results [rows, outputs] of every weight.
  std::vector<std::vector<float>> run(std::vector<float> x, int threads) const {
    const auto backend = make_backend(threads);
    std::vector<std::unique_ptr<Weight>> owned;
    std::vector<Projection> projections;
    std::vector<std::vector<float>> out;
    for (const int64_t outputs : outputs_) {
      out.emplace_back(x.size() / kColumns * static_cast<size_t>(outputs));
    }
    const auto upload = [&](const WeightSource& source, WeightUse use) {
      owned.push_back(backend->upload(source, use, Split::none).value());
      return owned.back().get();
    };
    for (size_t i = 0; i < types_.size(); ++i) {
      Projection projection;
      projection.weight =
          upload(source_of(tensors_[i], types_[i], outputs_[i], kColumns), WeightUse::matrix);
      if (i != 0) {
        const auto* bias = reinterpret_cast<const std::byte*>(biases_[i].data());
        projection.bias = upload({"bias", DType::f32, 1, outputs_[i], bias}, WeightUse::vector);
      }
      projection.out = view(out[i], outputs_[i]);
      projections.push_back(projection);
    }
    backend->linear(view(x, kColumns), projections, Batch{});
    return out;
  }

  // One element in double precision, and how far a result may be from it.
  struct Expected {
    double value;
    double bound;
  };
  Expected expected(size_t i, const float* weight, size_t row, size_t output) const {
    const float* in = x_.data() + row * kColumns;
    double value = double{biases_[i][output]};
    double size = std::abs(value);
    double greatest = 0;
    double weights = 0;
    for (size_t c = 0; c < kColumns; ++c) {
      const double product = double{in[c]} * double{weight[c]};
      value += product;
      size += std::abs(product);
      greatest = std::max(greatest, std::abs(double{in[c]}));
      weights += std::abs(double{weight[c]});
    }
    // A rounding a term; quantised activations are off by half a step of greatest / 127.
    const double step = takes_quantized_activations(types_[i]) ? greatest / 127 : 0;
    return {value, (kColumns + 2) * kEpsilon * size + 0.5 * 1.001 * step * weights};
  }

  std::mt19937 random_{1};
  std::vector<DType> types_ = {DType::f32, DType::q8_0, DType::f16};
  std::vector<int64_t> outputs_ = {40, 33, 160};
  std::vector<std::vector<std::byte>> tensors_;
  std::vector<std::vector<float>> biases_;  // all zero where the projection has none
  std::vector<float> x_;
};

TEST_F(CpuProjections, AgreeWithDoublePrecision) {
  const auto out = run(x_, 1);
  for (size_t i = 0; i < types_.size(); ++i) {
    const auto outputs = static_cast<size_t>(outputs_[i]);
    std::vector<float> weight(outputs * kColumns);
    gguf::dequantize_row(types_[i], tensors_[i].data(), weight.data(), weight.size());
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t o = 0; o < outputs; ++o) {
        const Expected element = expected(i, weight.data() + o * kColumns, row, o);
        ASSERT_NEAR(double{out[i][row * outputs + o]}, element.value, element.bound)
            << info(types_[i]).name;
      }
    }
  }
}

TEST_F(CpuProjections, BitsDependOnTheRowAlone) {
  const auto out = run(x_, 1);
  for (int threads = 1; threads <= 3; ++threads) {
    const auto again = run(x_, threads);
    const auto alone = run({x_.end() - kColumns, x_.end()}, threads);
    for (size_t i = 0; i < types_.size(); ++i) {
      EXPECT_TRUE(same_bits(again[i], out[i]));
      EXPECT_TRUE(same_bits(alone[i], std::span(out[i]).last(alone[i].size())));
    }
  }
}

TEST(CpuBackend, EmbedsTokensAndWhatThePreviousStepSampled) {
  std::mt19937 random(2);
  constexpr int64_t kColumns = 64;
  const auto bytes = random_tensor(random, DType::q8_0, 10, kColumns);
  std::vector<float> table(10 * kColumns);
  gguf::dequantize_row(DType::q8_0, bytes.data(), table.data(), table.size());
  const auto backend = make_backend(2);
  const auto weight =
      backend->upload(source_of(bytes, DType::q8_0, 10, kColumns), WeightUse::table, Split::none)
          .value();
  EXPECT_EQ(weight->bytes(), 0u);  // read from the file
  const auto expect_rows = [&](const SimpleBatch& step, const std::vector<int>& rows) {
    backend->begin_step(step.batch);
    const Tensor out = backend->scratch(step.batch.token_count(), kColumns);
    backend->embed(out, *weight, 2.0F, step.batch);
    for (size_t row = 0; row < rows.size(); ++row) {
      for (int64_t c = 0; c < kColumns; ++c) {
        ASSERT_EQ(out.row(static_cast<int64_t>(row))[c],
                  2.0F * table[static_cast<size_t>(rows[row] * kColumns + c)]);
      }
    }
  };
  expect_rows(SimpleBatch({9, 0, 4}), {9, 0, 4});

  // Greedy samples: rows 1 and 0 of the logits.
  std::vector<float> logits = {0, 0, 0, 5, 0, 0, 0, 0, 0, 0,  //
                               0, 0, 0, 0, 0, 0, 0, 0, 0, 5};
  SamplingParams greedy;
  greedy.temperature = 0.0F;
  const std::vector<SampleRow> rows = {{.logits_row = 1, .params = &greedy},
                                       {.logits_row = 0, .params = &greedy}};
  std::vector<SampledToken> sampled(2);
  backend->sample(view(logits, 10), rows, {});
  backend->collect(sampled);
  EXPECT_EQ(sampled[0].token, 9);
  EXPECT_EQ(sampled[1].token, 3);
  expect_rows(SimpleBatch({~1, 7, ~0}), {3, 7, 9});

  // A step may name rows whose results are not collected yet; these come in their order.
  backend->sample(view(logits, 10), rows, {});
  expect_rows(SimpleBatch({~0, ~1}), {9, 3});
  backend->sample(view(logits, 10), std::span(rows).first(1), {});
  backend->collect(sampled);
  EXPECT_EQ(sampled[1].token, 3);
  sampled.resize(1);
  backend->collect(sampled);
  EXPECT_EQ(sampled[0].token, 9);

  // Only those of the step before.
  expect_rows(SimpleBatch({4}), {4});
  EXPECT_DEATH(backend->begin_step(SimpleBatch({~0}).batch), "previous step");
}

TEST(CpuBackendDeathTest, StopsAtBrokenBatches) {
  const auto backend = make_backend();
  EXPECT_DEATH(backend->begin_step(SimpleBatch({~0}).batch), "previous step");
  SimpleBatch bidirectional({1});
  bidirectional.batch.causal = false;
  EXPECT_DEATH(backend->begin_step(bidirectional.batch), "bidirectional");
  SimpleBatch adapters({1});
  adapters.batch.adapters = adapters.tokens;
  EXPECT_DEATH(backend->begin_step(adapters.batch), "adapters");
  SimpleBatch axes({1});
  axes.batch.axes = 3;
  EXPECT_DEATH(backend->begin_step(axes.batch), "axes");
  SimpleBatch positions({1, 2}, {4, 5});
  positions.positions[1] = 4;
  EXPECT_DEATH(backend->begin_step(positions.batch), "position 4, not 5");
}

TEST(CpuBackend, SamplesTheSameWithAnyThreadsAndObeysTheMask) {
  std::mt19937 random(3);
  constexpr int64_t kVocabulary = 70;
  std::vector<float> logits = random_values(random, 5 * kVocabulary, 3.0F);
  SamplingParams params;
  std::vector<SampleRow> rows;
  for (uint32_t i = 0; i < 9; ++i) {
    rows.push_back({.logits_row = static_cast<int32_t>(i % 5),
                    .params = &params,
                    .seed = 40 + i,
                    .position = i});
  }
  const auto run = [&](int threads, std::span<const uint32_t> allowed) {
    std::vector<SampledToken> out(rows.size());
    const auto backend = make_backend(threads);
    backend->sample(view(logits, kVocabulary), rows, allowed);
    backend->collect(out);
    std::vector<int32_t> tokens;
    tokens.reserve(out.size());
    for (const SampledToken& token : out) tokens.push_back(token.token);
    return tokens;
  };
  const auto free = run(1, {});
  EXPECT_EQ(run(2, {}), free);
  EXPECT_EQ(run(3, {}), free);
  // Row i may only draw token 60 + i % 10: the third word's bits are those of 64 and above.
  std::vector<uint32_t> allowed(rows.size() * 3);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t token = 60 + i;
    allowed[i * 3 + token / 32] |= 1u << (token % 32);
  }
  for (int threads = 1; threads <= 3; ++threads) {
    const auto tokens = run(threads, allowed);
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(tokens[i], static_cast<int32_t>(60 + i));
  }
}

TEST(CpuBackend, GathersOutputRows) {
  std::mt19937 random(4);
  SimpleBatch step({1, 2, 3, 4});
  const std::vector<int32_t> wanted = {0, 3};
  step.batch.output_rows = wanted;
  std::vector<float> x = random_values(random, 4 * 5);
  const auto backend = make_backend();
  backend->begin_step(step.batch);
  const Tensor out = backend->output_rows(view(x, 5), step.batch);
  ASSERT_EQ(out.rows, 2);
  EXPECT_TRUE(same_bits({out.row(0), 5}, {x.data(), 5}));
  EXPECT_TRUE(same_bits({out.row(1), 5}, {x.data() + 15, 5}));
}

TEST(CpuBackend, CopiesWholeBlocks) {
  KvShape shape;
  shape.layers_per_block = 2;
  shape.kv_heads = 2;
  shape.head_dim = 24;
  shape.groups = {{0, {0, 1}}, {64, {2}}};
  const auto backend = make_backend(2);
  const auto store = backend->create_kv_store(shape, 6).value();
  const auto& memory = static_cast<const CpuKvStore&>(*store);
  const auto bytes = static_cast<size_t>(shape.block_bytes());
  for (int block = 0; block < 6; ++block) std::memset(memory.block(block), block + 1, bytes);
  const std::vector<BlockCopy> copies = {{0, 5, 1}, {1, 2, 4}};
  backend->copy_blocks(*store, copies);
  const std::vector<int> expected = {1, 6, 3, 4, 3, 6};
  for (int block = 0; block < 6; ++block) {
    const std::vector<std::byte> content(
        bytes, static_cast<std::byte>(expected[static_cast<size_t>(block)]));
    EXPECT_EQ(std::memcmp(memory.block(block), content.data(), bytes), 0) << block;
  }
}

TEST(CpuBackendBlocks, SwappedBlocksComeBackElsewhereAsTheyWere) {
  KvShape shape;
  shape.layers_per_block = 2;
  shape.kv_heads = 2;
  shape.head_dim = 8;
  shape.groups = {{0, {0, 1}}};
  const auto bytes = static_cast<size_t>(shape.block_bytes());
  for (int threads = 1; threads <= 2; ++threads) {
    const auto backend = CpuBackend::create({threads, ""}).value();
    const auto store = backend->create_kv_store(shape, 6).value();
    const auto& memory = static_cast<const CpuKvStore&>(*store);
    std::mt19937 random(21);
    std::vector<std::vector<float>> content;
    for (int block = 0; block < 6; ++block) {
      content.push_back(random_values(random, bytes / sizeof(float)));
      std::memcpy(memory.block(block), content.back().data(), bytes);
    }
    std::vector<std::byte> host(4 * bytes, std::byte{9});
    const std::vector<std::byte> untouched(bytes, std::byte{9});
    const std::vector<BlockSwap> out = {{5, 0}, {1, 3}, {2, 1}};
    backend->swap_blocks(*store, host.data(), out, SwapDirection::out);
    EXPECT_EQ(std::memcmp(host.data(), content[5].data(), bytes), 0);
    EXPECT_EQ(std::memcmp(host.data() + bytes, content[2].data(), bytes), 0);
    EXPECT_EQ(std::memcmp(host.data() + 2 * bytes, untouched.data(), bytes), 0);
    EXPECT_EQ(std::memcmp(host.data() + 3 * bytes, content[1].data(), bytes), 0);

    const std::vector<BlockSwap> in = {{1, 0}, {4, 3}};
    backend->swap_blocks(*store, host.data(), in, SwapDirection::in);
    const std::vector<size_t> expected = {0, 5, 2, 3, 1, 5};
    for (int block = 0; block < 6; ++block) {
      const std::vector<float>& from = content[expected[static_cast<size_t>(block)]];
      EXPECT_EQ(std::memcmp(memory.block(block), from.data(), bytes), 0) << block;
    }
  }
}

}  // namespace
}  // namespace octavo::cpu
