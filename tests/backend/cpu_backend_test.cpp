// The CPU backend as the engine and the models use it: options, weights, steps, rope, samples.
#include "backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "backend/cpu/cpu_kv_store.h"
#include "backend/random_values.h"
#include "base/float16.h"
#include "gguf/blocks.h"
#include "gguf/dequantize.h"

namespace octavo::cpu {
namespace {

std::unique_ptr<CpuBackend> make_backend(int threads = 1) {
  return CpuBackend::create({threads, ""}).value();
}

Tensor view(std::vector<float>& values, int64_t columns) {
  return {values.data(), static_cast<int64_t>(values.size()) / columns, columns};
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

// One sequence per row, each at its own position; owns what the batch's spans show.
struct SimpleBatch {
  explicit SimpleBatch(std::vector<int32_t> input, std::vector<int32_t> at = {})
      : tokens(std::move(input)), positions(std::move(at)), starts(tokens.size() + 1) {
    if (positions.empty()) positions.resize(tokens.size());
    std::iota(starts.begin(), starts.end(), 0);
    for (const int32_t position : positions) lengths.push_back(position + 1);
    batch.tokens = tokens;
    batch.positions = positions;
    batch.q_starts = starts;
    batch.kv_lengths = lengths;
  }
  SimpleBatch(const SimpleBatch&) = delete;
  SimpleBatch& operator=(const SimpleBatch&) = delete;

  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> starts;
  std::vector<int32_t> lengths;
  Batch batch;
};

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

TEST(CpuBackend, ProjectsOneInputThroughSeveralTypesWithBias) {
  std::mt19937 random(1);
  constexpr int64_t kColumns = 96;
  const std::vector<DType> types = {DType::f32, DType::q8_0, DType::f16};
  const std::vector<int64_t> outputs = {40, 33, 160};
  std::vector<std::vector<std::byte>> tensors;
  std::vector<std::vector<float>> biases;
  for (size_t i = 0; i < types.size(); ++i) {
    tensors.push_back(random_tensor(random, types[i], outputs[i], kColumns));
    biases.push_back(random_values(random, static_cast<size_t>(outputs[i])));
  }
  const auto run = [&](std::vector<float> x, int threads) {
    const auto backend = make_backend(threads);
    std::vector<std::unique_ptr<Weight>> owned;
    std::vector<Projection> projections;
    std::vector<std::vector<float>> out;
    for (size_t i = 0; i < types.size(); ++i) {
      out.emplace_back(x.size() / kColumns * static_cast<size_t>(outputs[i]));
    }
    for (size_t i = 0; i < types.size(); ++i) {
      Projection projection;
      owned.push_back(backend
                          ->upload(source_of(tensors[i], types[i], outputs[i], kColumns),
                                   WeightUse::matrix, Split::none)
                          .value());
      projection.weight = owned.back().get();
      if (i != 0) {  // one without
        const WeightSource bias{"bias", DType::f32, 1, outputs[i],
                                reinterpret_cast<const std::byte*>(biases[i].data())};
        owned.push_back(backend->upload(bias, WeightUse::vector, Split::none).value());
        projection.bias = owned.back().get();
      }
      projection.out = view(out[i], outputs[i]);
      projections.push_back(projection);
    }
    backend->linear(view(x, kColumns), projections, Batch{});
    return out;
  };
  constexpr size_t kRows = 21;
  const std::vector<float> x = random_values(random, kRows * kColumns);
  const auto out = run(x, 1);
  for (size_t i = 0; i < types.size(); ++i) {
    const auto rows = static_cast<size_t>(outputs[i]);
    std::vector<float> weight(rows * kColumns);
    gguf::dequantize_row(types[i], tensors[i].data(), weight.data(), weight.size());
    for (size_t row = 0; row < kRows; ++row) {
      const float* in = x.data() + row * kColumns;
      float greatest = 0;
      for (size_t c = 0; c < kColumns; ++c) greatest = std::max(greatest, std::abs(in[c]));
      for (size_t o = 0; o < rows; ++o) {
        double expected = i == 0 ? 0 : double{biases[i][o]};
        double size = std::abs(expected);
        double weights = 0;
        for (size_t c = 0; c < kColumns; ++c) {
          const double product = double{in[c]} * double{weight[o * kColumns + c]};
          expected += product;
          size += std::abs(product);
          weights += std::abs(double{weight[o * kColumns + c]});
        }
        // A rounding a term; quantised activations are off by half a step of greatest / 127.
        double bound = (kColumns + 2) * kEpsilon * size;
        if (types[i] == DType::q8_0) bound += double{greatest} / 127 * 0.5 * 1.001 * weights;
        ASSERT_NEAR(double{out[i][row * rows + o]}, expected, bound) << info(types[i]).name;
      }
    }
  }
  for (int threads = 1; threads <= 3; ++threads) {
    const auto again = run(x, threads);
    const auto alone = run({x.end() - kColumns, x.end()}, threads);
    for (size_t i = 0; i < types.size(); ++i) {
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
  backend->sample(view(logits, 10), rows, {}, sampled);
  EXPECT_EQ(sampled[0].token, 9);
  EXPECT_EQ(sampled[1].token, 3);
  expect_rows(SimpleBatch({~1, 7, ~0}), {3, 7, 9});
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
    make_backend(threads)->sample(view(logits, kVocabulary), rows, allowed, out);
    std::vector<int32_t> tokens;
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
  step.batch.logits_rows = wanted;
  std::vector<float> x = random_values(random, 4 * 5);
  const auto backend = make_backend();
  backend->begin_step(step.batch);
  const Tensor out = backend->output_rows(view(x, 5), step.batch);
  ASSERT_EQ(out.rows, 2);
  EXPECT_TRUE(same_bits({out.row(0), 5}, {x.data(), 5}));
  EXPECT_TRUE(same_bits({out.row(1), 5}, {x.data() + 15, 5}));
}

struct RopeCase {
  int32_t head_dim;
  size_t pairs;
  bool interleaved;
};

// Rope, read back from the queries and from the cache.
TEST(CpuBackend, TurnsAndStoresRows) {
  constexpr int32_t kHeads = 4;
  constexpr int32_t kKvHeads = 2;
  for (const RopeCase& c :
       {RopeCase{8, 4, false}, RopeCase{64, 32, false}, RopeCase{64, 32, true},
        RopeCase{80, 20, false}, RopeCase{40, 9, true}, RopeCase{16, 0, true}}) {
    std::mt19937 random(12);
    RopeTable rope;
    rope.interleaved = c.interleaved;
    rope.magnitude = 1.25F;
    for (size_t i = 0; i < c.pairs; ++i) {
      rope.frequencies.push_back(std::pow(10000.0F, -static_cast<float>(i) / 16.0F));
    }
    SimpleBatch step({0, 0, 0}, {3, 100'000, 40});
    const std::vector<int32_t> slots = {37, 5, 16};
    const std::vector<int32_t> table_starts = {0, 0, 0, 0};
    step.batch.groups = {{slots, table_starts, {}}};
    KvShape shape;
    shape.layers_per_block = 2;
    shape.kv_heads = kKvHeads;
    shape.head_dim = c.head_dim;
    shape.groups = {{0, {0, 1}}};
    const auto dim = static_cast<size_t>(c.head_dim);
    const std::vector<float> q = random_values(random, 3 * kHeads * dim);
    const std::vector<float> k = random_values(random, 3 * kKvHeads * dim);
    std::vector<float> v = random_values(random, 3 * kKvHeads * dim);
    // The turned head in double.
    const auto turned = [&](const float* head, int32_t position) {
      std::vector<double> out(head, head + dim);
      for (size_t i = 0; i < c.pairs; ++i) {
        const size_t a = c.interleaved ? 2 * i : i;
        const size_t b = c.interleaved ? 2 * i + 1 : i + c.pairs;
        const double angle = position * double{rope.frequencies[i]};
        const double cosine = std::cos(angle) * 1.25;
        const double sine = std::sin(angle) * 1.25;
        out[a] = double{head[a]} * cosine - double{head[b]} * sine;
        out[b] = double{head[b]} * cosine + double{head[a]} * sine;
      }
      return out;
    };
    for (const DType type : {DType::f16, DType::f32}) {
      shape.type = type;
      std::vector<float> first_q;
      for (const Kernels* kernels : available_kernels()) {
        const auto backend = CpuBackend::create({2, kernels->name}).value();
        const auto store = backend->create_kv_store(shape, 3).value();
        std::vector<float> q_rows = q;
        std::vector<float> k_rows = k;
        backend->begin_step(step.batch);
        backend->rope_and_store(view(q_rows, kHeads * c.head_dim),
                                view(k_rows, kKvHeads * c.head_dim), view(v, kKvHeads * c.head_dim),
                                1, rope, step.batch, *store);
        if (first_q.empty()) first_q = q_rows;
        EXPECT_TRUE(same_bits(q_rows, first_q)) << kernels->name;
        const auto& memory = static_cast<const CpuKvStore&>(*store);
        const auto element = [&](const std::byte* at, size_t index) {
          uint16_t half = 0;
          float value = 0;
          if (type == DType::f16) {
            std::memcpy(&half, at + 2 * index, 2);
            return float_from_f16(half);
          }
          std::memcpy(&value, at + 4 * index, 4);
          return value;
        };
        const auto rounded = [&](float value) {
          return type == DType::f16 ? float_from_f16(f16_from_float(value)) : value;
        };
        for (size_t row = 0; row < 3; ++row) {
          for (size_t head = 0; head < kHeads; ++head) {
            const size_t at = (row * kHeads + head) * dim;
            const auto expected = turned(q.data() + at, step.positions[row]);
            for (size_t d = 0; d < dim; ++d) {
              // Cosine, sine, two products and a sum, of values up to |q| * 1.25 * 2.
              ASSERT_NEAR(double{q_rows[at + d]}, expected[d], 4 * kEpsilon * 2.5 * 6);
            }
          }
          const auto slot = static_cast<size_t>(slots[row]);
          for (size_t head = 0; head < kKvHeads; ++head) {
            const std::byte* keys =
                memory.head(static_cast<int64_t>(slot / 16), 1, static_cast<int32_t>(head));
            const std::byte* values = keys + memory.value_offset();
            const size_t at = (row * kKvHeads + head) * dim;
            for (size_t d = 0; d < dim; ++d) {
              ASSERT_EQ(element(keys, d * 16 + slot % 16), rounded(k_rows[at + d]));
              ASSERT_EQ(element(values, slot % 16 * dim + d), rounded(v[at + d]));
            }
          }
        }
      }
    }
  }
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

}  // namespace
}  // namespace octavo::cpu
