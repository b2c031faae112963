#include "backend/kv_store.h"

#include <algorithm>
#include <map>

namespace octavo {

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

}  // namespace octavo
