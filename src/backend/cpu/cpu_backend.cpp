#include "backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/checks.h"
#include "backend/cpu/attention.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/cpu/cpu_weight.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/projections.h"
#include "base/check.h"
#include "base/error.h"
#include "gguf/dequantize.h"

namespace octavo::cpu {
namespace {

// Objects that a backend is given back are those it made: the interface only hands out its own.
const CpuWeight& own(const Weight& weight) {
  return static_cast<const CpuWeight&>(weight);
}
CpuKvStore& own(KvStore& store) {
  return static_cast<CpuKvStore&>(store);
}
const CpuKvStore& own(const KvStore& store) {
  return static_cast<const CpuKvStore&>(store);
}

}  // namespace

Result<std::unique_ptr<CpuBackend>> CpuBackend::create(const CpuOptions& options) {
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return invalid_input("threads: {} is not between 1 and {}", options.threads, kMaxThreads);
  }
  const Kernels* kernels = options.isa.empty() ? &best_kernels() : find_kernels(options.isa);
  if (kernels == nullptr) {
    std::string names;
    for (const Kernels* available : available_kernels()) {
      names += names.empty() ? available->name : fmt::format(", {}", available->name);
    }
    return invalid_input("instruction set '{}' is not one that this machine can run: {}",
                         printable(options.isa), names);
  }
  return std::unique_ptr<CpuBackend>(new CpuBackend(options.threads, *kernels));
}

CpuBackend::CpuBackend(int threads, const Kernels& kernels)
    : Backend(fmt::format("cpu ({}, {} thread{})", kernels.name, threads, threads == 1 ? "" : "s"),
              /*is_asynchronous=*/false),
      pool_(threads),
      kernels_(kernels),
      sampler_scratch_(static_cast<size_t>(threads)) {}

Result<std::unique_ptr<Weight>> CpuBackend::upload(const WeightSource& source, WeightUse use,
                                                   Split split) {
  if (split != Split::none) {
    return unsupported("tensor '{}': split over devices", printable(source.name));
  }
  OCTAVO_ASSIGN(std::unique_ptr<CpuWeight> weight, CpuWeight::create(source, use, pool_));
  return std::unique_ptr<Weight>(std::move(weight));
}

Result<std::unique_ptr<KvStore>> CpuBackend::create_kv_store(const KvShape& shape,
                                                             int64_t block_count) {
  OCTAVO_ASSIGN(std::unique_ptr<CpuKvStore> store, CpuKvStore::create(shape, block_count));
  return std::unique_ptr<KvStore>(std::move(store));
}

Tensor CpuBackend::scratch(int64_t rows, int64_t columns) {
  OCTAVO_CHECK(rows >= 0 && columns >= 0, "[{}, {}]", rows, columns);
  return {scratch_.take_array<float>(static_cast<size_t>(rows * columns)), rows, columns};
}

void CpuBackend::read(Tensor x, std::span<float> out) {
  OCTAVO_CHECK(out.size() == static_cast<size_t>(x.elements()), "{} values of {}", out.size(),
               x.elements());
  std::copy_n(x.data, out.size(), out.data());
}

void CpuBackend::begin_step(const Batch& batch) {
  check_batch(batch);
  scratch_.reset();
  rope_cache_.begin_step();
  attention_plans_.begin_step();
  step_tokens_.clear();
  previous_ = std::exchange(sampled_, {});
  for (const int32_t token : batch.tokens) step_tokens_.push_back(known(token));
}

// A token id, or ~r for what row r of the previous step sampled.
int32_t CpuBackend::known(int32_t token) const {
  if (token >= 0) return token;
  const int32_t row = ~token;
  OCTAVO_CHECK(row < std::ssize(previous_), "row {} of the {} that the previous step sampled", row,
               previous_.size());
  return previous_[static_cast<size_t>(row)];
}

void CpuBackend::copy_blocks(KvStore& store, std::span<const BlockCopy> copies) {
  const CpuKvStore& blocks = own(store);
  const auto bytes = static_cast<size_t>(blocks.shape().block_bytes());
  pool_.parallel_for(copies.size(), [&](size_t i) {
    std::memcpy(blocks.block(copies[i].to), blocks.block(copies[i].from), bytes);
  });
}

void CpuBackend::swap_blocks(KvStore& store, std::byte* host, std::span<const BlockSwap> swaps,
                             SwapDirection direction) {
  const CpuKvStore& blocks = own(store);
  const int64_t bytes = blocks.shape().block_bytes();
  pool_.parallel_for(swaps.size(), [&](size_t i) {
    OCTAVO_CHECK(swaps[i].host_slot >= 0, "host slot {}", swaps[i].host_slot);
    std::byte* slot = host + swaps[i].host_slot * bytes;
    std::byte* block = blocks.block(swaps[i].block);
    const bool out = direction == SwapDirection::out;
    std::memcpy(out ? slot : block, out ? block : slot, static_cast<size_t>(bytes));
  });
}

void CpuBackend::embed(Tensor out, const Weight& table, float scale, const Batch& batch) {
  OCTAVO_CHECK(out.rows == batch.token_count() && out.columns == table.columns());
  OCTAVO_CHECK(step_tokens_.size() == batch.tokens.size(), "embed outside of the step");
  const CpuWeight& rows = own(table);
  for_rows(pool_, out.rows, out.columns, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int32_t token = step_tokens_[static_cast<size_t>(row)];
      OCTAVO_CHECK(token < table.rows(), "token {} of {}", token, table.rows());
      gguf::dequantize_row(table.type(), rows.table_row(token), out.row(row),
                           static_cast<size_t>(out.columns));
      if (scale != 1.0F) kernels_.scale_in_place(out.row(row), scale, out.columns);
    }
  });
}

void CpuBackend::norm(Tensor out, Tensor x, const Weight& weight, float epsilon) {
  check_same_shape(out, x);
  OCTAVO_CHECK(weight.rows() == 1 && weight.columns() == x.columns);
  const float* scale = own(weight).vector();
  for_rows(pool_, x.rows, x.columns, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      kernels_.rms_norm_row(out.row(row), x.row(row), scale, epsilon, x.columns);
    }
  });
}

void CpuBackend::linear(Tensor x, std::span<const Projection> projections, const Batch& /*batch*/) {
  run_projections(x, projections, kernels_, pool_, scratch_);
}

void CpuBackend::add(Tensor x, Tensor y) {
  check_same_shape(x, y);
  for_ranges(pool_, x.elements(), kTaskElements, [&](int64_t first, int64_t last) {
    kernels_.add_in_place(x.data + first, y.data + first, last - first);
  });
}

void CpuBackend::gate(Tensor gate, Tensor up, Activation activation) {
  check_same_shape(gate, up);
  const auto kernel = activation == Activation::silu ? kernels_.silu_gate : kernels_.gelu_tanh_gate;
  for_ranges(pool_, gate.elements(), kTaskElements, [&](int64_t first, int64_t last) {
    kernel(gate.data + first, up.data + first, last - first);
  });
}

void CpuBackend::rope_and_store(Tensor q, Tensor k, Tensor v, int32_t layer, const RopeTable& rope,
                                const Batch& batch, KvStore& store) {
  const RopeAngles angles = rope_cache_.angles(rope, batch, pool_, scratch_);
  rotate_and_store({q, k, v, layer, rope.interleaved, batch, own(store)}, angles, kernels_, pool_);
}

void CpuBackend::attention(Tensor out, Tensor q, int32_t layer, const AttentionParams& params,
                           const Batch& batch, const KvStore& store) {
  run_attention({out, q, layer, params, batch, own(store)}, attention_plans_, kernels_, pool_,
                scratch_);
}

Tensor CpuBackend::output_rows(Tensor x, const Batch& batch) {
  const Tensor out = scratch(static_cast<int64_t>(batch.output_rows.size()), x.columns);
  for (int64_t i = 0; i < out.rows; ++i) {
    const float* row = x.row(batch.output_rows[static_cast<size_t>(i)]);
    std::copy(row, row + x.columns, out.row(i));
  }
  return out;
}

void CpuBackend::soft_cap(Tensor x, float cap) {
  for_ranges(pool_, x.elements(), kTaskElements, [&](int64_t first, int64_t last) {
    kernels_.soft_cap_in_place(x.data + first, cap, last - first);
  });
}

void CpuBackend::all_reduce(Tensor /*x*/) {
  // One device holds everything.
}

void CpuBackend::sample(Tensor logits, std::span<const SampleRow> rows,
                        std::span<const uint32_t> allowed) {
  const size_t words = (static_cast<size_t>(logits.columns) + 31) / 32;
  OCTAVO_CHECK(allowed.empty() || allowed.size() == rows.size() * words, "{} mask words of {}",
               allowed.size(), rows.size() * words);
  std::vector<SampledToken>& out = uncollected_.emplace_back(rows.size());
  const size_t workers = std::min(rows.size(), sampler_scratch_.size());
  pool_.parallel_for(workers, [&](size_t worker) {
    for (size_t i = worker; i < rows.size(); i += workers) {
      OCTAVO_CHECK(rows[i].logits_row >= 0 && rows[i].logits_row < logits.rows);
      const std::span<const float> row(logits.row(rows[i].logits_row),
                                       static_cast<size_t>(logits.columns));
      const auto mask = allowed.empty() ? allowed : allowed.subspan(i * words, words);
      SampleRow drawn = rows[i];
      std::vector<int32_t> tokens;
      if (!drawn.tokens.empty() && drawn.tokens.back() < 0) {
        tokens.assign(drawn.tokens.begin(), drawn.tokens.end());
        tokens.back() = known(tokens.back());
        drawn.tokens = tokens;
      }
      out[i] = sample_row(row, drawn, mask, sampler_scratch_[worker]);
    }
  });
  sampled_.clear();
  for (const SampledToken& token : out) sampled_.push_back(token.token);
}

void CpuBackend::collect(std::span<SampledToken> out) {
  OCTAVO_CHECK(!uncollected_.empty() && out.size() == uncollected_.front().size(),
               "{} results are not what is there", out.size());
  std::ranges::move(uncollected_.front(), out.begin());
  uncollected_.pop_front();
}

}  // namespace octavo::cpu
