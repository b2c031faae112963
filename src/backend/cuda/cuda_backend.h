// The backend that runs on an NVIDIA GPU.
//
// Operations are noted on a tape and run when a result is wanted (tape.h); everything of one
// backend happens in the order of one stream. Weights are kept in quantised form (weight_layout.h),
// keys and values in f32, f16 or bf16, activations between operations in f32.
//
// Thread safety: one thread (the engine's) calls the operations.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/attention_plan.h"
#include "backend/cuda/block_moves.h"
#include "backend/cuda/create_cuda_backend.h"
#include "backend/cuda/cublas.h"
#include "backend/cuda/cuda_kv_store.h"
#include "backend/cuda/cuda_weight.h"
#include "backend/cuda/device_sampler.h"
#include "backend/cuda/device_scratch.h"
#include "backend/cuda/projections.h"
#include "backend/cuda/step_arrays.h"
#include "backend/cuda/tape.h"
#include "base/thread_pool.h"

namespace octavo::cuda {

class CudaBackend final : public Backend {
 public:
  // Errors: no such device, or one that is too old; a library that is missing.
  static Result<std::unique_ptr<CudaBackend>> create(const CudaOptions& options);
  ~CudaBackend() override;

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
  void add_norm(Tensor out, Tensor x, Tensor y, const Weight& weight, float epsilon) override;

  int64_t replays() const { return tape_.replays(); }

 private:
  // A step's arrays on the device that depend on a KV group.
  struct Group {
    TablesView tables = {};
    bool checked = false;  // its slots are of the store
  };
  struct Angles {
    const RopeTable* table;
    float* cosines;
    float* sines;
  };
  // The attention of a KV group's layers with one number of heads.
  struct PlannedAttention {
    int32_t group;
    int32_t heads_per_kv_head;
    const int32_t* words;
    int32_t block_capacity;
    int32_t merge_capacity;
    bool has_tiles;
    bool merges_all;
    float* partials;
  };

  CudaBackend(std::string description, const CudaOptions& options, cudaStream_t stream,
              DeviceScratch scratch, DeviceScratch temporary);
  void run();   // what is on the tape
  void wait();  // for everything
  const Angles& angles(const RopeTable& rope, const Batch& batch);
  void check_slots(const CudaKvStore& store, int32_t group, const Batch& batch);
  const PlannedAttention& planned(int32_t group, int32_t heads_per_kv_head, const Batch& batch,
                                  const KvShape& shape);

  bool deterministic_;
  bool wide_tiles_;
  cudaStream_t stream_;
  ThreadPool pool_;
  DeviceScratch scratch_;    // of the step
  DeviceScratch temporary_;  // of an operation: operations run one after the other
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<Cublas> cublas_;
  DeviceBuffer workspace_;
  DeviceBuffer counters_;
  StepArrays arrays_;
  BlockMoves moves_;
  Tape tape_;
  std::unique_ptr<DeviceSampler> sampler_;

  bool small_step_ = false;  // worth a graph
  StepView step_ = {};
  const int32_t* output_rows_ = nullptr;
  std::vector<Group> groups_;
  std::vector<Angles> angles_;
  std::vector<PlannedAttention> planned_;
  int32_t sampled_rows_ = 0;  // of the last draw, which the next step may name
};

}  // namespace octavo::cuda
