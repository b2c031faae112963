// The backend that runs on the machine's processors.
//
// Owns the threads, the table of kernels and the scratch memory of a step; Weights and KvStores it
// made must not outlive it. Every operation is cut into tasks for the thread pool such that an
// output element is computed by one task, in an order that its own inputs decide (backend.h): the
// number of threads changes no bit.
//
// Thread safety: one thread (the engine's) calls the operations.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/attention_plan.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rope.h"
#include "backend/cpu/scratch.h"
#include "backend/sampler.h"
#include "base/thread_pool.h"

namespace octavo::cpu {

struct CpuOptions {
  int threads = 1;  // 1 to kMaxThreads
  std::string isa;  // a name of available_kernels(); empty: the best
};

class CpuBackend final : public Backend {
 public:
  static constexpr int kMaxThreads = 1024;

  static Result<std::unique_ptr<CpuBackend>> create(const CpuOptions& options);

  Result<std::unique_ptr<Weight>> upload(const WeightSource& source, WeightUse use,
                                         Split split) override;
  Result<std::unique_ptr<KvStore>> create_kv_store(const KvShape& shape,
                                                   int64_t block_count) override;
  Tensor scratch(int64_t rows, int64_t columns) override;
  void read(Tensor x, std::span<float> out) override;

  void begin_step(const Batch& batch) override;
  void copy_blocks(KvStore& store, std::span<const BlockCopy> copies) override;
  void swap_blocks(KvStore& store, std::byte* host, std::span<const BlockSwap> swaps,
                   SwapDirection direction) override;

  void embed(Tensor out, const Weight& table, float scale, const Batch& batch) override;
  void norm(Tensor out, Tensor x, const Weight& weight, float epsilon) override;
  void linear(Tensor x, std::span<const Projection> projections, const Batch& batch) override;
  void add(Tensor x, Tensor y) override;
  void gate(Tensor gate, Tensor up, Activation activation) override;
  void rope_and_store(Tensor q, Tensor k, Tensor v, int32_t layer, const RopeTable& rope,
                      const Batch& batch, KvStore& store) override;
  void attention(Tensor out, Tensor q, int32_t layer, const AttentionParams& params,
                 const Batch& batch, const KvStore& store) override;
  Tensor output_rows(Tensor x, const Batch& batch) override;
  void soft_cap(Tensor x, float cap) override;
  void all_reduce(Tensor x) override;
  void sample(Tensor logits, std::span<const SampleRow> rows,
              std::span<const uint32_t> allowed) override;
  void collect(std::span<SampledToken> out) override;

 private:
  CpuBackend(int threads, const Kernels& kernels);
  int32_t known(int32_t token) const;

  ThreadPool pool_;
  const Kernels& kernels_;
  ScratchArena scratch_;
  RopeCache rope_cache_;
  AttentionPlans attention_plans_;
  std::vector<int32_t> step_tokens_;  // the batch's tokens, ~r replaced by what r sampled
  std::vector<int32_t> previous_;     // what the step before sampled, by row
  std::vector<int32_t> sampled_;      // what this step did
  std::deque<std::vector<SampledToken>> uncollected_;
  std::vector<SamplerScratch> sampler_scratch_;  // one per thread
};

}  // namespace octavo::cpu
