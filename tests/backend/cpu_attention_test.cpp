// Attention and the KV store behind it, driven as the engine drives them: sequences advance by
// chunks over shuffled blocks, next to each other, and every row is compared.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <ostream>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/kv_rounding.h"
#include "backend/random_values.h"

namespace octavo::cpu {
namespace {

struct Shape {
  int heads = 1;
  int kv_heads = 1;
  int head_dim = 64;
  int window = 0;
  float soft_cap = 0.0F;
  DType type = DType::f16;
  size_t q_columns() const { return static_cast<size_t>(heads) * static_cast<size_t>(head_dim); }
  size_t kv_columns() const {
    return static_cast<size_t>(kv_heads) * static_cast<size_t>(head_dim);
  }
  float scale() const { return 1.0F / std::sqrt(static_cast<float>(head_dim)); }
};

void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.heads << " heads, " << shape.kv_heads << " kv, dim " << shape.head_dim
       << ", window " << shape.window << ", cap " << shape.soft_cap << ", "
       << info(shape.type).name;
}

// One sequence's q, k and v of every position.
struct Sequence {
  int length = 0;
  std::vector<float> q;  // [length, heads * head_dim]
  std::vector<float> k;  // [length, kv_heads * head_dim]
  std::vector<float> v;
};

std::vector<Sequence> make_sequences(const Shape& shape, const std::vector<int>& lengths,
                                     uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Sequence> sequences;
  for (const int length : lengths) {
    const size_t q_size = static_cast<size_t>(length) * shape.q_columns();
    const size_t kv_size = static_cast<size_t>(length) * shape.kv_columns();
    sequences.push_back({length, random_values(random, q_size, 2.0F),
                         random_values(random, kv_size), random_values(random, kv_size)});
  }
  return sequences;
}

// How a run is laid out; none of it may change a bit of the result.
struct Layout {
  std::string isa;
  int threads = 1;
  int block_size = 16;
  int largest_chunk = 1'000'000;  // rows of a sequence in one step
  int first_chunk = 0;            // > 0: rows of a sequence's first step
  // Of the blocks' order, the chunks and who advances. 0: all advance by the largest chunk.
  uint32_t seed = 0;
};

constexpr int32_t kLayer = 1;

// Runs sequences to their ends, over a store in which every unused slot is NaN.
class Runner {
 public:
  Runner(const Shape& shape, const std::vector<Sequence>& sequences, const Layout& layout)
      : shape_(shape), sequences_(sequences), layout_(layout), random_(layout.seed) {
    backend_ = CpuBackend::create({layout.threads, layout.isa}).value();
    KvShape kv;
    kv.block_size = layout.block_size;
    kv.layers_per_block = 3;
    kv.kv_heads = shape.kv_heads;
    kv.head_dim = shape.head_dim;
    kv.type = shape.type;
    kv.groups = {{0, {0}}, {shape.window, {2, kLayer}}};
    int blocks = 1;
    for (const Sequence& sequence : sequences) {
      blocks += (sequence.length + layout.block_size - 1) / layout.block_size;
    }
    store_ = backend_->create_kv_store(kv, blocks).value();
    const auto& memory = static_cast<const CpuKvStore&>(*store_);
    for (int block = 0; block < blocks; ++block) {
      std::memset(memory.block(block), 0xFF, static_cast<size_t>(kv.block_bytes()));
    }
    free_.resize(static_cast<size_t>(blocks));
    std::iota(free_.begin(), free_.end(), 0);
    std::shuffle(free_.begin(), free_.end(), random_);
    done_.resize(sequences.size());
    tables_.resize(sequences.size());
    for (const Sequence& sequence : sequences) outputs_.emplace_back(sequence.q.size());
  }

  // [sequence][length, heads * head_dim].
  std::vector<std::vector<float>> run() {
    while (step()) {
    }
    return std::move(outputs_);
  }

 private:
  struct Rows {
    size_t sequence;
    int count;
  };

  std::vector<Rows> choose_rows() {
    std::vector<Rows> chosen;
    bool any_left = false;
    while (chosen.empty()) {
      for (size_t s = 0; s < sequences_.size(); ++s) {
        const int left = sequences_[s].length - done_[s];
        any_left = any_left || left > 0;
        if (left == 0 || (layout_.seed != 0 && random_int(random_, 0, 2) == 0)) continue;
        const bool first = done_[s] == 0 && layout_.first_chunk > 0;
        const int most = std::min(left, first ? layout_.first_chunk : layout_.largest_chunk);
        const bool whole = first || layout_.seed == 0;
        chosen.push_back({s, whole ? most : random_int(random_, 1, most)});
      }
      if (!any_left) break;
    }
    return chosen;
  }

  void extend_table(size_t s, int length) {
    std::vector<int32_t>& table = tables_[s];
    while (static_cast<int>(table.size()) * layout_.block_size < length) {
      table.push_back(free_.back());
      free_.pop_back();
    }
    // Blocks that fell out of every row's window have been given back.
    for (size_t i = 0; shape_.window > 0 && i < table.size(); ++i) {
      const int last_position = static_cast<int>(i + 1) * layout_.block_size - 1;
      if (last_position < done_[s] - shape_.window + 1) table[i] = kNoBlock;
    }
  }

  bool step() {
    const std::vector<Rows> chosen = choose_rows();
    if (chosen.empty()) return false;
    std::vector<int32_t> tokens, positions, slots, blocks, kv_lengths;
    std::vector<int32_t> q_starts = {0};
    std::vector<int32_t> table_starts = {0};
    std::vector<float> q, k, v;
    const size_t q_columns = shape_.q_columns();
    const size_t kv_columns = shape_.kv_columns();
    for (const Rows& rows : chosen) {
      const Sequence& sequence = sequences_[rows.sequence];
      const int first = done_[rows.sequence];
      extend_table(rows.sequence, first + rows.count);
      const std::vector<int32_t>& table = tables_[rows.sequence];
      for (int position = first; position < first + rows.count; ++position) {
        tokens.push_back(0);
        positions.push_back(position);
        slots.push_back(table[static_cast<size_t>(position / layout_.block_size)] *
                            layout_.block_size +
                        position % layout_.block_size);
      }
      const auto append = [&](std::vector<float>& to, const std::vector<float>& from, size_t size) {
        const auto begin = from.begin() + static_cast<int64_t>(static_cast<size_t>(first) * size);
        to.insert(to.end(), begin,
                  begin + static_cast<int64_t>(rows.count) * static_cast<int64_t>(size));
      };
      append(q, sequence.q, q_columns);
      append(k, sequence.k, kv_columns);
      append(v, sequence.v, kv_columns);
      q_starts.push_back(static_cast<int32_t>(tokens.size()));
      kv_lengths.push_back(first + rows.count);
      blocks.insert(blocks.end(), table.begin(), table.end());
      table_starts.push_back(static_cast<int32_t>(blocks.size()));
    }
    Batch batch;
    batch.tokens = tokens;
    batch.positions = positions;
    batch.q_starts = q_starts;
    batch.kv_lengths = kv_lengths;
    // The first group's tables are never used.
    const GroupTables group = {slots, table_starts, blocks};
    batch.groups = {group, group};
    backend_->begin_step(batch);
    const auto count = static_cast<int64_t>(tokens.size());
    const Tensor q_rows = {q.data(), count, static_cast<int64_t>(q_columns)};
    const Tensor k_rows = {k.data(), count, static_cast<int64_t>(kv_columns)};
    const Tensor v_rows = {v.data(), count, static_cast<int64_t>(kv_columns)};
    const Tensor out = backend_->scratch(count, q_rows.columns);
    backend_->rope_and_store(q_rows, k_rows, v_rows, kLayer, RopeTable{}, batch, *store_);
    backend_->attention(out, q_rows, kLayer, {shape_.scale(), shape_.soft_cap}, batch, *store_);
    for (size_t i = 0; i < chosen.size(); ++i) {
      const size_t s = chosen[i].sequence;
      std::copy(
          out.row(q_starts[i]), out.row(q_starts[i + 1]),
          outputs_[s].begin() + static_cast<int64_t>(static_cast<size_t>(done_[s]) * q_columns));
      done_[s] += chosen[i].count;
    }
    return true;
  }

  Shape shape_;
  const std::vector<Sequence>& sequences_;
  Layout layout_;
  std::mt19937 random_;
  std::unique_ptr<CpuBackend> backend_;
  std::unique_ptr<KvStore> store_;
  std::vector<int32_t> free_;
  std::vector<int> done_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<std::vector<float>> outputs_;
};

std::vector<std::vector<float>> run(const Shape& shape, const std::vector<Sequence>& sequences,
                                    const Layout& layout) {
  return Runner(shape, sequences, layout).run();
}

// One head of one row in double, and how far the kernel's result may be from it.
struct Reference {
  std::vector<double> values;
  std::vector<double> bounds;
};

Reference attend_plainly(const Shape& shape, const Sequence& sequence, int position, int head) {
  const int kv_head = head / (shape.heads / shape.kv_heads);
  const auto dim = static_cast<size_t>(shape.head_dim);
  const float* q = sequence.q.data() + static_cast<size_t>(position * shape.heads + head) * dim;
  const auto kv_row = [&](const std::vector<float>& from, int key) {
    return from.data() + static_cast<size_t>(key * shape.kv_heads + kv_head) * dim;
  };
  const int first = shape.window > 0 ? std::max(0, position - shape.window + 1) : 0;
  std::vector<double> scores;
  double score_bound = 0;
  for (int key = first; key <= position; ++key) {
    double score = 0;
    double size = 0;
    for (size_t d = 0; d < dim; ++d) {
      const double product =
          static_cast<double>(q[d]) * static_cast<double>(kv_row(sequence.k, key)[d]);
      score += product;
      size += std::abs(product);
    }
    const auto scale = static_cast<double>(shape.scale());
    score *= scale;
    // One rounding a term, one for the scale, one for the difference to the maximum.
    score_bound = std::max(score_bound, (shape.head_dim + 4) * kEpsilon * size * scale);
    if (shape.soft_cap > 0) {
      const auto cap = static_cast<double>(shape.soft_cap);
      score = cap * std::tanh(score / cap);
      score_bound = std::max(score_bound, cap * 16 * kEpsilon);  // tanh is good to about 1e-7
    }
    scores.push_back(score);
  }
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  Reference out;
  // A weight is off by twice the scores' error (its own and the sum's) and a few roundings.
  const double weight_bound =
      4 * score_bound + (static_cast<double>(scores.size()) + 16) * kEpsilon;
  for (size_t d = 0; d < dim; ++d) {
    double value = 0;
    double size = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      const double term =
          scores[i] / sum * static_cast<double>(kv_row(sequence.v, first + static_cast<int>(i))[d]);
      value += term;
      size += std::abs(term);
    }
    out.values.push_back(value);
    out.bounds.push_back(weight_bound * size);
  }
  return out;
}

// What the rotation of IQ4_NL makes of a row whose values came out rotated: in double, with one
// rounding more for each of five sums and the product.
void rotate_back(Reference& row) {
  for (size_t first = 0; first < row.values.size(); first += 32) {
    const std::vector<double> values(row.values.begin() + static_cast<int64_t>(first),
                                     row.values.begin() + static_cast<int64_t>(first) + 32);
    double bound = 0;
    for (size_t i = 0; i < 32; ++i) {
      bound += (row.bounds[first + i] + 6 * kEpsilon * std::abs(values[i])) / 8;
    }
    for (size_t i = 0; i < 32; ++i) {
      double sum = 0;
      for (size_t j = 0; j < 32; ++j) {
        sum += (std::popcount(i & j) % 2 == 0 ? values[j] : -values[j]) / 8;
      }
      row.values[first + i] = sum;
      row.bounds[first + i] = bound;
    }
  }
}

void expect_near_reference(const Shape& shape, Sequence sequence, const std::vector<float>& output,
                           int first_position = 0) {
  round_like_cache(shape.type, sequence.k);
  round_like_cache(shape.type, sequence.v);
  const bool rotated = shape.type == DType::iq4_nl;
  for (size_t i = 0; rotated && i < sequence.q.size(); i += 32) {
    rotate(sequence.q.data() + i, 0.125F);
  }
  const auto dim = static_cast<size_t>(shape.head_dim);
  for (int position = first_position; position < sequence.length; ++position) {
    for (int head = 0; head < shape.heads; ++head) {
      Reference reference = attend_plainly(shape, sequence, position, head);
      if (rotated) rotate_back(reference);
      for (size_t d = 0; d < dim; ++d) {
        const size_t at = static_cast<size_t>(position * shape.heads + head) * dim + d;
        ASSERT_LE(std::abs(static_cast<double>(output[at]) - reference.values[d]),
                  reference.bounds[d])
            << "position " << position << " head " << head << " element " << d << ": " << output[at]
            << " for " << reference.values[d];
      }
    }
  }
}

const std::vector<Shape> kShapes = {
    {1, 1, 8, 0, 0.0F, DType::f16},      {9, 3, 64, 0, 0.0F, DType::f16},
    {4, 4, 80, 0, 0.0F, DType::f16},     {8, 1, 96, 0, 0.0F, DType::f32},
    {20, 1, 32, 0, 0.0F, DType::f16},    {4, 2, 128, 0, 30.0F, DType::f16},
    {4, 1, 256, 100, 0.0F, DType::f16},  {2, 2, 64, 16, 0.0F, DType::f32},
    {6, 2, 72, 300, 50.0F, DType::f32},  {5, 1, 20, 1, 0.0F, DType::f16},
    {6, 2, 72, 0, 0.0F, DType::bf16},    {9, 3, 64, 0, 0.0F, DType::q8_0},
    {4, 1, 96, 100, 20.0F, DType::q8_0}, {4, 2, 64, 0, 0.0F, DType::iq4_nl},
    {3, 1, 32, 40, 9.0F, DType::iq4_nl},
};

class CpuAttention : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, CpuAttention, testing::ValuesIn(kShapes));

TEST_P(CpuAttention, AgreesWithPlainSoftmax) {
  const Shape& shape = GetParam();
  for (const int length : {1, 2, 15, 16, 17, 100, 255, 256, 257, 530}) {
    const std::vector<Sequence> sequences = make_sequences(shape, {length}, 7);
    const auto outputs = run(shape, sequences, {best_kernels().name});
    expect_near_reference(shape, sequences[0], outputs[0]);
    if (HasFatalFailure()) FAIL() << "length " << length;
  }
}

TEST_P(CpuAttention, BitsDependOnNothingButTheSequence) {
  const Shape& shape = GetParam();
  const std::vector<int> lengths = {1, 16, 17, 70, 257, 300};
  const std::vector<Sequence> sequences = make_sequences(shape, lengths, 11);
  const auto expected = run(shape, sequences, {best_kernels().name});

  // Alone, and one row at a time.
  for (size_t s = 0; s < sequences.size(); ++s) {
    const std::vector<Sequence> alone = {sequences[s]};
    EXPECT_TRUE(same_bits(run(shape, alone, {best_kernels().name})[0], expected[s]));
    EXPECT_TRUE(same_bits(run(shape, alone, {best_kernels().name, 1, 32, 1})[0], expected[s]));
  }
  // Among others, in any chunks, on any instruction set, with any threads and blocks.
  uint32_t seed = 1;
  for (const Kernels* kernels : available_kernels()) {
    for (int threads = 1; threads <= 3; ++threads) {
      const int block_size = 16 << (seed % 5);
      const int largest_chunk = seed % 2 == 0 ? 40 : 400;
      const Layout layout = {kernels->name, threads, block_size, largest_chunk, 0, seed++};
      const auto outputs = run(shape, sequences, layout);
      for (size_t s = 0; s < sequences.size(); ++s) {
        EXPECT_TRUE(same_bits(outputs[s], expected[s]))
            << "sequence " << s << ", " << layout.isa << ", " << threads << " threads, blocks of "
            << block_size << ", seed " << layout.seed;
      }
    }
  }
}

// One key is all that a first row sees, so that its result is the value as the cache keeps it. 127
// codes a side are within 1/254 of the group's greatest; sixteen, of a rotated group, leave a tenth
// of its norm at the most, outliers or not.
TEST(CpuAttentionQuantized, KeepsValuesAsNearAsTheirBitsAllow) {
  for (const DType type : {DType::q8_0, DType::iq4_nl}) {
    const Shape shape = {1, 1, 64, 0, 0.0F, type};
    std::vector<Sequence> sequences = make_sequences(shape, std::vector<int>(50, 1), 5);
    for (Sequence& sequence : sequences) sequence.v[7] *= 30.0F;
    const auto outputs = run(shape, sequences, {best_kernels().name});
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::vector<float>& v = sequences[s].v;
      for (size_t group = 0; group < 64; group += 32) {
        const double greatest = static_cast<double>(*std::max_element(
            v.begin() + static_cast<int64_t>(group), v.begin() + static_cast<int64_t>(group) + 32,
            [](float a, float b) { return std::abs(a) < std::abs(b); }));
        double norm = 0;
        double error = 0;
        for (size_t i = group; i < group + 32; ++i) {
          const double difference = std::abs(static_cast<double>(outputs[s][i] - v[i]));
          norm += static_cast<double>(v[i]) * static_cast<double>(v[i]);
          error += difference * difference;
          if (type == DType::q8_0) {
            EXPECT_LE(difference, std::abs(greatest) / 253) << s;
          }
        }
        if (type == DType::iq4_nl) {
          EXPECT_LE(std::sqrt(error), 0.1 * std::sqrt(norm)) << s;
        }
      }
    }
  }
}

// A long sequence's single row is computed segment by segment on all threads.
TEST(CpuAttentionSplit, OneLongRowGivesTheSameBits) {
  const Shape shape = {2, 1, 64, 0, 0.0F, DType::f16};
  const std::vector<Sequence> sequences = make_sequences(shape, {1500}, 3);
  const auto whole = run(shape, sequences, {best_kernels().name, 1});
  expect_near_reference(shape, sequences[0], whole[0], 1490);
  for (int threads = 2; threads <= 3; ++threads) {
    const Layout layout = {best_kernels().name, threads, 64, 700, 0, 9};
    EXPECT_TRUE(same_bits(run(shape, sequences, layout)[0], whole[0])) << threads;
    const Layout single_rows = {best_kernels().name, threads, 16, 1, 1480};
    EXPECT_TRUE(same_bits(run(shape, sequences, single_rows)[0], whole[0])) << threads;
  }
}

}  // namespace
}  // namespace octavo::cpu
