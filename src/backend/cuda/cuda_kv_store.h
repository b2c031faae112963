// Keys and values in a device's memory, taken as it is used.
//
// One range of addresses for all blocks; memory behind it is mapped in extents by commit() and
// unmapped by release(). A block holds for each of its layers the keys,
// then the values, each [kv_heads, block_size, head_dim]. Thread safety: used by the engine thread
// only.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/cuda/device_memory.h"
#include "backend/cuda/kernel_args.h"
#include "backend/kv_store.h"

namespace octavo::cuda {

class CudaKvStore final : public KvStore {
 public:
  // Errors: a shape or type that the device's kernels do not have; a pool that does not fit, with
  // both sizes.
  static Result<std::unique_ptr<CudaKvStore>> create(const KvShape& shape, int64_t block_count);

  const KvShape& shape() const override { return shape_; }
  int64_t block_count() const override { return block_count_; }
  Result<void> commit(int64_t first_block, int64_t count) override;
  void release(int64_t first_block, int64_t count) override;

  std::byte* block(int64_t block) const;
  int32_t group(int32_t layer) const;  // the KV group of a layer
  KvView view(int32_t layer) const;

 private:
  struct Place {
    int32_t group = -1;
    int32_t index = 0;  // within the group, and so within a block
  };
  CudaKvStore(const KvShape& shape, int64_t block_count, ReservedMemory memory)
      : shape_(shape), block_count_(block_count), memory_(std::move(memory)) {}
  const Place& place(int32_t layer) const;

  KvShape shape_;
  int64_t block_count_;
  ReservedMemory memory_;
  std::vector<Place> places_;  // by layer
};

}  // namespace octavo::cuda
