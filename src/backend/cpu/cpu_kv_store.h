// The KV cache of the CPU backend: one reserved range of addresses, memory taken page by page as
// blocks are first written.
//
// Layout, block-major:
//
//   block:    layer 0 of the group | layer 1 | ...
//   layer:    kv head 0 | kv head 1 | ...
//   kv head:  K in tiles of 16 tokens [block_size / 16] | V the same
//
// What a tile holds, kv_tiles.h says for each type. K is transposed in it, so that the scores of 16
// keys are 16 lanes. A block never spans the edge of an attention segment (block_size divides
// kAttentionSegment).
//
// Thread safety: the addresses never change; who writes which slot is the caller's affair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/kv_store.h"
#include "octavo/result.h"

namespace octavo::cpu {

// Tokens of a key tile: the lanes of a vector.
inline constexpr int32_t kKeyTile = 16;

class CpuKvStore final : public KvStore {
 public:
  static Result<std::unique_ptr<CpuKvStore>> create(const KvShape& shape, int64_t block_count);
  ~CpuKvStore() override;
  CpuKvStore(const CpuKvStore&) = delete;
  CpuKvStore& operator=(const CpuKvStore&) = delete;

  const KvShape& shape() const override { return shape_; }
  int64_t block_count() const override { return block_count_; }
  Result<void> commit(int64_t first_block, int64_t count) override;
  void release(int64_t first_block, int64_t count) override;

  // Where a model's layer lies.
  struct LayerPlace {
    int32_t group = -1;  // index into KvShape::groups
    int32_t index = -1;  // among the layers of a block of that group
  };
  LayerPlace place(int32_t layer) const;

  std::byte* block(int64_t id) const;
  // K and V of one kv head of a layer in a block: K at the start, V value_offset() bytes later.
  std::byte* head(int64_t block_id, int32_t layer_index, int32_t kv_head) const;
  int64_t head_bytes() const { return head_bytes_; }
  int64_t value_offset() const { return head_bytes_ / 2; }
  // K, or V, of one token and of kKeyTile tokens in a kv head of a layer.
  int64_t row_bytes() const { return row_bytes_; }
  int64_t tile_bytes() const { return kKeyTile * row_bytes_; }
  // From a block to the next.
  int64_t block_bytes() const { return block_bytes_; }

 private:
  CpuKvStore(const KvShape& shape, int64_t block_count, std::byte* memory, size_t memory_bytes);

  KvShape shape_;
  int64_t block_count_;
  int64_t row_bytes_;
  int64_t head_bytes_;
  int64_t block_bytes_;
  std::byte* memory_;
  size_t memory_bytes_;
  std::vector<LayerPlace> places_;  // [layers of the model]
};

}  // namespace octavo::cpu
