#include "backend/kv_store.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string>

#include "base/check.h"
#include "base/error.h"

namespace octavo {

std::string kv_type_name(DType type) {
  std::string name(info(type).name);
  for (char& letter : name) letter = static_cast<char>(std::tolower(letter));
  return name;
}

Result<DType> kv_type(std::string_view name) {
  std::string names;
  for (const DType type : kKvTypes) {
    if (kv_type_name(type) == name) return type;
    names += names.empty() ? kv_type_name(type) : ", " + kv_type_name(type);
  }
  return invalid_input("kv-dtype: '{}' is not one of {}", printable(name), names);
}

Result<void> check_kv_type(const KvShape& shape) {
  const DTypeInfo& type = info(shape.type);
  if (std::find(kKvTypes.begin(), kKvTypes.end(), shape.type) == kKvTypes.end()) {
    return unsupported("KV cache: keys and values cannot be kept as {}", type.name);
  }
  if (shape.head_dim % static_cast<int32_t>(type.block_elements) != 0) {
    return unsupported("KV cache: type {} needs heads of a multiple of {} dimensions, not of {}",
                       type.name, type.block_elements, shape.head_dim);
  }
  return {};
}

std::vector<KvGroup> group_layers(const std::vector<int32_t>& windows) {
  std::map<int32_t, std::vector<int32_t>> by_window;  // ordered, so that groups are reproducible
  for (size_t layer = 0; layer < windows.size(); ++layer) {
    by_window[windows[layer]].push_back(static_cast<int32_t>(layer));
  }
  size_t group_size = windows.size();
  for (const auto& entry : by_window) group_size = std::min(group_size, entry.second.size());

  std::vector<KvGroup> groups;
  for (const auto& entry : by_window) {
    const std::vector<int32_t>& layers = entry.second;
    for (size_t first = 0; first < layers.size(); first += group_size) {
      const size_t last = std::min(first + group_size, layers.size());
      groups.push_back({entry.first,
                        {layers.begin() + static_cast<int64_t>(first),
                         layers.begin() + static_cast<int64_t>(last)}});
    }
  }
  return groups;
}

void KvStore::check_range(int64_t first_block, int64_t count) const {
  OCTAVO_CHECK(first_block >= 0 && count >= 0 && first_block + count <= block_count(),
               "blocks {} to {} of {}", first_block, first_block + count, block_count());
}

}  // namespace octavo
