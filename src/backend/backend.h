// The interface between models and the machine they run on.
//
// Coarse, imperative operations: an operation's effect is visible to the next one. No method names
// a dtype, a quantisation or a phase: the dtype lives in the opaque Weight, which the backend may
// repack when it uploads, and prefill or decode is only how many rows a sequence has.
//
// Operations that can be fused have a body here, composed of the primitives (backend.cpp); a
// backend overrides one when a kernel has earned it, and a test compares override and composition.
//
// Order of operations (docs/ARCHITECTURE.md): an element of an output row depends on its own
// input row, the weights and the sequence's own keys and values, never on how many rows the step
// has. A GPU's backend keeps to this where it was made to be deterministic (docs/cuda.md).
//
// Ownership: a Backend owns scratch memory and threads; Weights and KvStores it made must not
// outlive it. Thread safety: one thread (the engine's) calls the operations.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/batch.h"
#include "backend/kv_store.h"
#include "backend/tensor.h"
#include "base/dtype.h"
#include "octavo/result.h"
#include "octavo/sampling.h"

namespace octavo {

// How a weight is spread over several devices. `none` is the only value accepted now.
enum class Split { none, rows, columns };

// What a weight will be used for; decides how a backend lays it out.
enum class WeightUse {
  matrix,  // the right side of a product: linear()
  table,   // rows looked up by token: embed()
  vector,  // norm weights, biases: kept as floats
};

// Where the bytes of a weight come from: a view on the model file.
struct WeightSource {
  std::string name;
  DType type = DType::f32;
  int64_t rows = 1;     // outputs of a matrix, entries of a table, 1 for a vector
  int64_t columns = 0;  // inputs of a matrix; the inner dimension, contiguous in the file
  const std::byte* data = nullptr;  // rows * row_bytes(type, columns); outlives the backend's use
};

class Weight {
 public:
  virtual ~Weight() = default;
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  DType type() const { return type_; }
  Split split() const { return split_; }
  virtual size_t bytes() const = 0;  // memory held by the backend, beyond the mapped file

 protected:
  Weight(const WeightSource& source, Split split)
      : rows_(source.rows), columns_(source.columns), type_(source.type), split_(split) {}

 private:
  int64_t rows_;
  int64_t columns_;
  DType type_;
  Split split_;
};

// One of several products with the same input.
struct Projection {
  const Weight* weight = nullptr;  // matrix [out, in]
  const Weight* bias = nullptr;    // vector [out], or none
  Tensor out;                      // [rows, out]
  // Mixture of experts: the expert each row goes to; must be empty now.
  std::span<const int32_t> expert_of_row = {};
};

enum class Activation { silu, gelu_tanh };

// A gated feed-forward layer, with the scratch its hidden rows need (the caller's, so that all
// layers of a model use the same).
struct FeedForward {
  const Weight* gate = nullptr;  // [hidden, in]
  const Weight* up = nullptr;    // [hidden, in]
  const Weight* down = nullptr;  // [out, hidden]
  Activation activation = Activation::silu;
  Tensor gated;   // [rows, hidden]
  Tensor raised;  // [rows, hidden]
};

// Rotary position embedding (Su et al., 2021): pair i of a head is turned by position *
// frequencies[i]. The model computes the frequencies, so that every scaling rule (linear, llama3,
// YaRN) is a table.
struct RopeTable {
  std::vector<float> frequencies;  // [rotated dimensions / 2] radians per position
  float magnitude = 1.0F;          // multiplies cosine and sine (YaRN's attention factor)
  bool interleaved = false;  // pairs are (2i, 2i+1); otherwise (i, i + rotated dimensions / 2)
};

struct AttentionParams {
  float scale = 1.0F;     // multiplies q·k
  float soft_cap = 0.0F;  // > 0: scores become cap * tanh(score / cap)
};

// What the sampler needs to know about one output row.
struct SampleRow {
  int32_t logits_row = 0;  // several outputs of a forked prompt may sample from the same row
  const SamplingParams* params = nullptr;
  uint64_t seed = 0;
  uint32_t output_index = 0;
  uint32_t position = 0;  // of the token to be drawn
  // Prompt and generated tokens so far, for the penalties. The last one may be ~r: what row r of
  // the previous draw gave.
  std::span<const int32_t> tokens;
  int32_t prompt_length = 0;  // how many of `tokens` are the prompt
  int32_t forced = -1;        // >= 0: take this token instead of drawing one (scoring a given text)
  std::span<const int32_t> banned = {};  // ids that cannot be drawn (min_tokens, ignore_eos)
};

struct SampledToken {
  int32_t token = 0;
  float logprob = 0.0F;           // when params->logprobs >= 0
  std::vector<TokenLogprob> top;  // the params->logprobs most probable tokens, best first
};

// Which way blocks are swapped: from the KvStore to host memory, or back.
enum class SwapDirection { out, in };

class Backend {
 public:
  virtual ~Backend() = default;

  // For people: "cpu (avx512, 2 threads)".
  const std::string& description() const { return description_; }
  // Whether operations are computed while the host goes on: then a step should be begun before the
  // results of the step before are collected.
  bool is_asynchronous() const { return is_asynchronous_; }

  // --- memory ---
  virtual Result<std::unique_ptr<Weight>> upload(const WeightSource& source, WeightUse use,
                                                 Split split = Split::none) = 0;
  // Reserves address space for `block_count` blocks; memory is taken by KvStore::commit().
  virtual Result<std::unique_ptr<KvStore>> create_kv_store(const KvShape& shape,
                                                           int64_t block_count) = 0;
  // Uninitialised scratch memory, valid until the next begin_step.
  virtual Tensor scratch(int64_t rows, int64_t columns) = 0;
  // Copies x to `out` [x.elements()] in host memory, once the operations before have computed it.
  virtual void read(Tensor x, std::span<float> out) = 0;

  // --- one step ---
  // Starts a step: gives scratch memory back and plans what depends on the batch alone.
  virtual void begin_step(const Batch& batch) = 0;
  // Copies whole blocks within the store. No block is both source and destination, or twice the
  // latter.
  virtual void copy_blocks(KvStore& store, std::span<const BlockCopy> copies) = 0;
  // Copies whole blocks between the store and host memory, where slot i begins
  // i * store.shape().block_bytes() bytes after `host`. Bytes come back as they went. No block and
  // no slot that is written may occur twice, and no block that comes in may be used by a step whose
  // results were not collected. Host memory may be read and changed when it returns.
  virtual void swap_blocks(KvStore& store, std::byte* host, std::span<const BlockSwap> swaps,
                           SwapDirection direction) = 0;

  // out [tokens, columns] = scale * table[token of each row].
  virtual void embed(Tensor out, const Weight& table, float scale, const Batch& batch) = 0;
  // RMS norm of each row: out = x / sqrt(mean(x^2) + epsilon) * weight. out may be x.
  virtual void norm(Tensor out, Tensor x, const Weight& weight, float epsilon) = 0;
  // out = x * weight^T + bias for every projection; x [rows, in] is read once for all of them.
  virtual void linear(Tensor x, std::span<const Projection> projections, const Batch& batch) = 0;
  // x += y.
  virtual void add(Tensor x, Tensor y) = 0;
  // gate = activation(gate) * up. What is in `up` afterwards is undefined.
  virtual void gate(Tensor gate, Tensor up, Activation activation) = 0;
  // Turns q [tokens, heads * head_dim] and k [tokens, kv_heads * head_dim] in place, then writes k
  // and v into the slots of the batch, rounded to the store's dtype.
  virtual void rope_and_store(Tensor q, Tensor k, Tensor v, int32_t layer, const RopeTable& rope,
                              const Batch& batch, KvStore& store) = 0;
  // out [tokens, heads * head_dim]: causal attention (Vaswani et al., 2017) of each query row over
  // its sequence's stored keys, grouped-query (heads / kv_heads queries share a key head), within
  // the layer's window. Keys are folded in order of position inside segments of kAttentionSegment
  // positions, segments merged in ascending order.
  virtual void attention(Tensor out, Tensor q, int32_t layer, const AttentionParams& params,
                         const Batch& batch, const KvStore& store) = 0;
  // The rows of x that the batch wants output for: [output_rows, columns].
  virtual Tensor output_rows(Tensor x, const Batch& batch) = 0;
  // x = cap * tanh(x / cap).
  virtual void soft_cap(Tensor x, float cap) = 0;
  // Sums x over all devices that hold a part; nothing to do on one device.
  virtual void all_reduce(Tensor x) = 0;

  // Draws a token per row from logits [rows, vocabulary]. `allowed` is empty or one bit per token,
  // [rows, ceil(vocabulary / 32)]; a clear bit forbids the token. The logits may be changed. The
  // next step may be begun before the results are collected; its batch names them by their row.
  virtual void sample(Tensor logits, std::span<const SampleRow> rows,
                      std::span<const uint32_t> allowed) = 0;
  // What the oldest call of sample() drew that was not collected yet, row by row; waits for it. No
  // more than two may be left uncollected.
  virtual void collect(std::span<SampledToken> out) = 0;

  // --- composed of the above ---
  // x += y; out = norm(x).
  virtual void add_norm(Tensor out, Tensor x, Tensor y, const Weight& weight, float epsilon);
  // out = (activation(x * gate^T) * (x * up^T)) * down^T  (Shazeer, 2020).
  void gated_feed_forward(Tensor out, Tensor x, const FeedForward& layer, const Batch& batch);

 protected:
  Backend(std::string description, bool is_asynchronous)
      : description_(std::move(description)), is_asynchronous_(is_asynchronous) {}

 private:
  std::string description_;
  bool is_asynchronous_;
};

// Positions per attention segment: where the fold over keys is cut, whatever the batch looks like.
inline constexpr int32_t kAttentionSegment = 256;

}  // namespace octavo
