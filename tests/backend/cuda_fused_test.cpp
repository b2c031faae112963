// Operations that the CUDA backend fuses with the products before them, against the same operations
// on their own: no bit may differ. Without a GPU, each test says that it was skipped; that they are
// fused is cuda_fuse_products_test.cpp's to see.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "backend/cuda/create_cuda_backend.h"
#include "backend/cuda_test_tools.h"
#include "backend/linear_cases.h"
#include "backend/random_values.h"
#include "backend/simple_batch.h"

namespace octavo::cuda {
namespace {

using cpu::testing::random_activations;
using cpu::testing::random_tensor;

class CudaFusedOperations : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
    gpu_ = create_cuda_backend({.threads = 2}).value();
  }
  std::unique_ptr<Backend> gpu_;
};

struct Matrix {
  Matrix(Backend& backend, DType type, int64_t outputs, int64_t inner, bool has_bias,
         std::mt19937_64& random) {
    const auto tensor = random_tensor(type, static_cast<size_t>(outputs * inner), random);
    weight = upload(backend, type, outputs, inner, tensor.data(), WeightUse::matrix);
    if (!has_bias) return;
    std::vector<float> added(static_cast<size_t>(outputs));
    for (float& value : added) value = cpu::testing::random_float(random);
    bias = upload(backend, DType::f32, 1, outputs, added.data(), WeightUse::vector);
  }
  Projection into(Tensor out) const { return {weight.get(), bias.get(), out}; }

  std::unique_ptr<Weight> weight;
  std::unique_ptr<Weight> bias;
};

// Columns that rows of the type can have, at least `least`.
int64_t inner_for(DType type, int64_t least) {
  const int64_t block = info(type).block_elements;
  return (least + block - 1) / block * block;
}

using Results = std::vector<std::vector<float>>;

void expect_same(const Results& together, const Results& apart, const std::string& what) {
  ASSERT_EQ(together.size(), apart.size());
  for (size_t i = 0; i < apart.size(); ++i) {
    EXPECT_TRUE(same_bits(together[i], apart[i])) << what << ", result " << i;
  }
}

struct Turned {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t pairs;
  bool interleaved;
  bool has_bias;
  DType store;
};

// All blocks of a store, to and from slots of the same numbers.
std::vector<BlockSwap> all_blocks(const KvStore& store) {
  std::vector<BlockSwap> swaps(static_cast<size_t>(store.block_count()));
  for (size_t i = 0; i < swaps.size(); ++i) {
    swaps[i] = {static_cast<int32_t>(i), static_cast<int32_t>(i)};
  }
  return swaps;
}

// What the store holds.
std::vector<float> stored(Backend& backend, KvStore& store) {
  const auto block_floats = static_cast<size_t>(store.shape().block_bytes()) / sizeof(float);
  std::vector<float> host(static_cast<size_t>(store.block_count()) * block_floats);
  backend.swap_blocks(store, reinterpret_cast<std::byte*>(host.data()), all_blocks(store),
                      SwapDirection::out);
  return host;
}

// Zeros everywhere.
void clear(Backend& backend, KvStore& store) {
  std::vector<std::byte> host(
      static_cast<size_t>(store.block_count() * store.shape().block_bytes()));
  backend.swap_blocks(store, host.data(), all_blocks(store), SwapDirection::in);
}

RopeTable make_rope(const Turned& shape) {
  RopeTable rope;
  rope.interleaved = shape.interleaved;
  rope.magnitude = 1.1F;
  for (int32_t i = 0; i < shape.pairs; ++i) {
    rope.frequencies.push_back(
        std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(shape.head_dim)));
  }
  return rope;
}

// q, k and v, of weights of these types, turned and stored: the tensors, then the store.
Results turn_products(Backend& backend, const Turned& shape, const std::array<DType, 3>& types,
                      int64_t least, const std::vector<Sequence>& sequences, bool apart) {
  std::mt19937_64 random(22);
  KvShape kv;
  kv.layers_per_block = 2;
  kv.kv_heads = shape.kv_heads;
  kv.head_dim = shape.head_dim;
  kv.type = shape.store;
  kv.groups = {{0, {0, 1}}};
  int32_t blocks = 1;
  const auto tables = make_tables(sequences, kv.block_size, blocks);
  const auto store = backend.create_kv_store(kv, blocks).value();
  EXPECT_TRUE(store->commit(0, blocks).ok());
  const RopeTable rope = make_rope(shape);
  AttentionStep step;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const auto [length, rows] = sequences[s];
    step.add(tables[s], kv.block_size, length - rows, length);
  }
  const Batch batch = step.batch();
  int64_t inner = least;
  for (const DType type : types) inner = inner_for(type, inner);
  const int64_t q_columns = int64_t{shape.heads} * shape.head_dim;
  const int64_t kv_columns = int64_t{shape.kv_heads} * shape.head_dim;
  const Matrix q(backend, types[0], q_columns, inner, shape.has_bias, random);
  const Matrix k(backend, types[1], kv_columns, inner, shape.has_bias, random);
  const Matrix v(backend, types[2], kv_columns, inner, shape.has_bias, random);
  const int64_t rows = batch.token_count();
  const auto x = random_activations(static_cast<size_t>(rows), static_cast<size_t>(inner), random);

  backend.begin_step(batch);
  clear(backend, *store);
  const Tensor in = bring(backend, x, batch);
  const std::array<Tensor, 3> out = {backend.scratch(rows, q_columns),
                                     backend.scratch(rows, kv_columns),
                                     backend.scratch(rows, kv_columns)};
  const std::array<Projection, 3> qkv = {q.into(out[0]), k.into(out[1]), v.into(out[2])};
  // The first layer is never fused: the angles are computed for it.
  for (const int32_t layer : {0, 1}) {
    backend.linear(in, qkv, batch);
    if (apart) read(backend, out[0]);
    backend.rope_and_store(out[0], out[1], out[2], layer, rope, batch, *store);
  }
  Results results;
  for (const Tensor& tensor : out) results.push_back(read(backend, tensor));
  results.push_back(stored(backend, *store));
  return results;
}

const std::vector<std::vector<Sequence>> kSteps = {
    {{1, 1}}, {{40, 1}, {7, 1}}, {{20, 3}}, {{33, 1}, {18, 4}, {5, 1}, {100, 1}}, {{17, 8}}};

TEST_F(CudaFusedOperations, TurnedAndStoredRowsAreThoseOfTheirOwnLaunch) {
  const std::vector<Turned> shapes = {{8, 2, 128, 64, true, false, DType::f16},
                                      {4, 4, 96, 32, false, true, DType::bf16},
                                      {6, 3, 64, 32, false, false, DType::f32},
                                      {3, 1, 64, 8, true, true, DType::bf16},
                                      {2, 2, 10, 3, false, false, DType::f16}};
  for (const DTypeInfo& type : kDTypes) {
    for (const Turned& shape : shapes) {
      for (const auto& sequences : kSteps) {
        if (!is_taken()) continue;
        const std::array<DType, 3> types = {type.type, type.type, type.type};
        expect_same(turn_products(*gpu_, shape, types, 64, sequences, false),
                    turn_products(*gpu_, shape, types, 64, sequences, true),
                    fmt::format("{}, heads of {}, {} sequences", type.name, shape.head_dim,
                                sequences.size()));
      }
    }
  }
}

TEST_F(CudaFusedOperations, WeightsOfSeveralTypesAndLongRowsAreTurnedAlike) {
  const Turned shape{8, 2, 64, 32, true, true, DType::f16};
  const std::vector<std::array<DType, 3>> mixes = {{DType::q4_k, DType::q4_k, DType::q6_k},
                                                   {DType::q8_0, DType::q5_k, DType::q8_0},
                                                   {DType::q4_0, DType::q5_0, DType::q8_0},
                                                   {DType::bf16, DType::q8_0, DType::f16},
                                                   {DType::bf16, DType::bf16, DType::f16}};
  for (const auto& types : mixes) {
    for (const auto& sequences : kSteps) {
      for (const int64_t least : {512, 8192}) {
        if ((least > 512 && sequences.size() > 1) || !is_taken()) continue;
        expect_same(turn_products(*gpu_, shape, types, least, sequences, false),
                    turn_products(*gpu_, shape, types, least, sequences, true),
                    fmt::format("{}, {}, {}", info(types[0]).name, info(types[1]).name,
                                info(types[2]).name));
      }
    }
  }
}

// The gated products of two weights, and a product of them, whose rounding follows.
Results gate_products(Backend& backend, DType type, Activation activation, int64_t rows,
                      int64_t hidden, bool apart) {
  std::mt19937_64 random(25);
  const int64_t inner = inner_for(type, 64);
  const Matrix gate(backend, type, hidden, inner, hidden % 2 == 0, random);
  const Matrix up(backend, type, hidden, inner, hidden % 3 == 0, random);
  const std::vector<int32_t> tokens(static_cast<size_t>(rows));
  const SimpleBatch batch(tokens);
  const auto x = random_activations(static_cast<size_t>(rows), static_cast<size_t>(inner), random);
  backend.begin_step(batch.batch);
  const Tensor in = bring(backend, x, batch.batch);
  const Tensor gated = backend.scratch(rows, hidden);
  const Tensor raised = backend.scratch(rows, hidden);
  const std::array<Projection, 2> both = {gate.into(gated), up.into(raised)};
  backend.linear(in, both, batch.batch);
  if (apart) read(backend, gated);
  backend.gate(gated, raised, activation);
  if (hidden % 32 != 0) return {read(backend, gated)};
  const Matrix down(backend, DType::q8_0, 40, hidden, false, random);
  const Tensor out = backend.scratch(rows, 40);
  const Projection last = down.into(out);
  backend.linear(gated, std::span(&last, 1), batch.batch);
  return {read(backend, gated), read(backend, out)};
}

TEST_F(CudaFusedOperations, GatedProductsAreThoseOfTheirOwnLaunch) {
  for (const DTypeInfo& type : kDTypes) {
    for (const Activation activation : {Activation::silu, Activation::gelu_tanh}) {
      for (const int64_t rows : {1, 2, 3, 4, 7, 8}) {
        for (const int64_t hidden : {1, 6, 33, 96, 1056}) {
          if (!is_taken()) continue;
          expect_same(gate_products(*gpu_, type.type, activation, rows, hidden, false),
                      gate_products(*gpu_, type.type, activation, rows, hidden, true),
                      fmt::format("{}, {} rows, {} outputs", type.name, rows, hidden));
        }
      }
    }
  }
}

// The product after an attention that the merge of its segments rounds for it.
std::vector<float> attend_and_multiply(Backend& backend, DType store_type, int32_t head_dim,
                                       const std::vector<Sequence>& sequences, bool apart) {
  constexpr int32_t kHeads = 6;
  constexpr int32_t kOutputs = 40;
  std::mt19937 random(23);
  std::mt19937_64 weights(24);
  KvShape kv;
  kv.layers_per_block = 1;
  kv.kv_heads = 2;
  kv.head_dim = head_dim;
  kv.type = store_type;
  kv.groups = {{0, {0}}};
  int32_t blocks = 1;
  const auto tables = make_tables(sequences, kv.block_size, blocks);
  const auto store = backend.create_kv_store(kv, blocks).value();
  EXPECT_TRUE(store->commit(0, blocks).ok());
  const RopeTable rope = make_rope({kHeads, 2, head_dim, head_dim / 2, true, false, store_type});
  const Matrix matrix(backend, DType::q8_0, kOutputs, int64_t{kHeads} * head_dim, false, weights);
  std::vector<float> result;
  for (const bool last : {false, true}) {
    AttentionStep step;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const auto [length, rows] = sequences[s];
      step.add(tables[s], kv.block_size, last ? length - rows : 0, last ? length : length - rows);
    }
    const Batch batch = step.batch();
    backend.begin_step(batch);
    const auto draw = [&](int32_t heads) {
      return bring(
          backend,
          random_values(random, batch.tokens.size() * static_cast<size_t>(heads * head_dim)),
          batch);
    };
    const Tensor q = draw(kHeads);
    const Tensor k = draw(2);
    const Tensor v = draw(2);
    const Tensor attended = backend.scratch(q.rows, q.columns);
    const Tensor out = backend.scratch(q.rows, kOutputs);
    backend.rope_and_store(q, k, v, 0, rope, batch, *store);
    backend.attention(attended, q, 0, {0.1F, 0.0F}, batch, *store);
    if (apart) read(backend, attended);
    const Projection projection = matrix.into(out);
    backend.linear(attended, std::span(&projection, 1), batch);
    result = read(backend, out);
  }
  return result;
}

TEST_F(CudaFusedOperations, MergedSegmentsAreRoundedAsByTheirOwnLaunch) {
  const std::vector<std::vector<Sequence>> steps = {
      {{300, 1}}, {{257, 1}, {900, 3}, {513, 1}}, {{300, 1}, {20, 1}}, {{700, 8}}};
  for (const DType type : {DType::f16, DType::f32}) {
    for (const int32_t head_dim : {64, 80, 96, 128, 256, 320}) {
      for (const auto& sequences : steps) {
        if (!is_taken()) continue;
        EXPECT_TRUE(same_bits(attend_and_multiply(*gpu_, type, head_dim, sequences, false),
                              attend_and_multiply(*gpu_, type, head_dim, sequences, true)))
            << info(type).name << ", heads of " << head_dim << ", " << sequences.size()
            << " sequences";
      }
    }
  }
}

}  // namespace
}  // namespace octavo::cuda
