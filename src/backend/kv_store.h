// The memory behind the KV cache: a backend's store of K and V, addressed by block id.
//
// kv/ decides which sequence holds which block; a KvStore only knows where block b's bytes are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "octavo/result.h"

namespace octavo {

// Layers that share block tables: the same window and the same bytes per token.
struct KvGroup {
  int32_t window = 0;  // tokens a layer of the group can see back, itself included; 0: all
  std::vector<int32_t>
      layers;  // at most KvShape::layers_per_block; the rest of the block stays unused
};

// What a block holds. All groups' blocks have equal bytes, so that one pool serves them all.
struct KvShape {
  int32_t block_size = 16;       // tokens per block
  int32_t layers_per_block = 0;  // layers of the largest group
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  DType type = DType::f16;  // one of kKvTypes
  std::vector<KvGroup> groups;

  // Bytes of K and V of one token in one layer.
  int64_t token_layer_bytes() const {
    return 2 * static_cast<int64_t>(
                   row_bytes(type, static_cast<size_t>(kv_heads) * static_cast<size_t>(head_dim)));
  }
  int64_t block_bytes() const { return token_layer_bytes() * layers_per_block * block_size; }
};

// The types that keys and values may have, the most exact first.
inline constexpr std::array kKvTypes = {DType::f32, DType::f16, DType::bf16, DType::q8_0,
                                        DType::iq4_nl};

// The type with a name in lower case, as in "q8_0". Errors: another name, with the list.
Result<DType> kv_type(std::string_view name);
std::string kv_type_name(DType type);  // that name

// Errors: a type that is not among kKvTypes, or whose numbers share scales in groups that heads of
// this size cannot be cut into.
Result<void> check_kv_type(const KvShape& shape);

// Sorts layers into groups: `windows[i]` is layer i's window (0: none). Groups have as many layers
// as the rarest kind of layer, so that a block of any group has the same bytes and little is left
// unused.
std::vector<KvGroup> group_layers(const std::vector<int32_t>& windows);

// Thread safety: used by the engine thread only.
class KvStore {
 public:
  virtual ~KvStore() = default;

  virtual const KvShape& shape() const = 0;
  virtual int64_t block_count() const = 0;
  // Takes the memory of these blocks, ahead of the step that first writes to them. Errors: others
  // have taken what was free when the store was made; the same blocks may be asked for again.
  virtual Result<void> commit(int64_t first_block, int64_t count) = 0;
  // Gives the memory of these blocks back to the system; their content is undefined afterwards.
  // Never called while a step is in flight.
  virtual void release(int64_t first_block, int64_t count) = 0;

 protected:
  // Stops the process unless all of these are blocks of the store.
  void check_range(int64_t first_block, int64_t count) const;
};

}  // namespace octavo
