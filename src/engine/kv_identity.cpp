#include "engine/kv_identity.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/check.h"

namespace octavo {
namespace {

// A stream of values; each variable part is preceded by its length, so that no two different
// streams look alike.
class Hasher {
 public:
  Hasher() : state_(XXH3_createState(), XXH3_freeState) {
    OCTAVO_CHECK(state_ != nullptr && XXH3_128bits_reset(state_.get()) == XXH_OK);
  }
  void bytes(const void* data, size_t size) { XXH3_128bits_update(state_.get(), data, size); }
  template <class Number>
  void number(Number value) {
    static_assert(std::is_arithmetic_v<Number>);
    bytes(&value, sizeof value);
  }
  void text(std::string_view value) {
    number(value.size());
    bytes(value.data(), value.size());
  }
  template <class Number>
  void numbers(const std::vector<Number>& values) {
    number(values.size());
    bytes(values.data(), values.size() * sizeof(Number));
  }
  void value(const gguf::Value& value) {
    number(static_cast<uint32_t>(value.type));
    if (const auto* array = std::get_if<gguf::Array>(&value.data)) {
      number(static_cast<uint32_t>(array->element_type));
      numbers(array->unsigned_values);
      numbers(array->signed_values);
      numbers(array->float_values);
      number(array->strings.size());
      for (const std::string& each : array->strings) text(each);
      return;
    }
    const auto add = [this](const auto& scalar) {
      if constexpr (std::is_same_v<std::decay_t<decltype(scalar)>, std::string>) {
        text(scalar);
      } else {
        number(scalar);
      }
    };
    std::visit(add, std::get<gguf::Scalar>(value.data));
  }
  std::string hex() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

}  // namespace

std::optional<std::string> content_hash(const gguf::File& file, const std::stop_token& stop) {
  constexpr size_t kPieceBytes = size_t{16} << 20;  // between two looks at `stop`
  Hasher hasher;
  for (const std::string& key : file.metadata().keys()) {
    hasher.text(key);
    hasher.value(*file.metadata().find(key));
  }
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    hasher.text(tensor.name);
    hasher.number(static_cast<uint32_t>(tensor.type));
    for (const uint64_t dim : tensor.dims) hasher.number(dim);
    for (size_t offset = 0; offset < tensor.bytes; offset += kPieceBytes) {
      if (stop.stop_requested()) return std::nullopt;
      hasher.bytes(tensor.data + offset, std::min(kPieceBytes, tensor.bytes - offset));
    }
    file.release(tensor);
  }
  return hasher.hex();
}

std::string kv_identity(const std::string& model_hash, const KvShape& shape,
                        const std::string& arithmetic_mode) {
  Hasher groups;
  for (const KvGroup& group : shape.groups) {
    groups.number(group.window);
    groups.numbers(group.layers);
  }
  return fmt::format("model {} groups {} layers {} heads {} x {} type {} block {} octavo {} on {}",
                     model_hash, groups.hex(), shape.layers_per_block, shape.kv_heads,
                     shape.head_dim, info(shape.type).name, shape.block_size, OCTAVO_VERSION,
                     arithmetic_mode);
}

}  // namespace octavo
