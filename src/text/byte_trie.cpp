#include "text/byte_trie.h"

#include "base/check.h"

namespace octavo::text {

ByteTrie::ByteTrie() : nodes_(1) {
  first_bytes_.fill(none);
}

int32_t ByteTrie::child(int32_t node, unsigned char byte) const {
  if (node == root) return first_bytes_[byte];
  int32_t at = nodes_[static_cast<size_t>(node)].first_child;
  while (at != none && nodes_[static_cast<size_t>(at)].byte != byte) {
    at = nodes_[static_cast<size_t>(at)].next_sibling;
  }
  return at;
}

void ByteTrie::insert(std::string_view text, int32_t value) {
  OCTAVO_CHECK(!text.empty() && value >= 0);
  int32_t node = root;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    int32_t next = child(node, byte);
    if (next == none) {
      next = static_cast<int32_t>(nodes_.size());
      Node& parent = nodes_[static_cast<size_t>(node)];
      Node added;
      added.byte = byte;
      added.next_sibling = parent.first_child;
      parent.first_child = next;
      if (node == root) first_bytes_[byte] = next;
      nodes_.push_back(added);
    }
    node = next;
  }
  Node& last = nodes_[static_cast<size_t>(node)];
  if (last.value == none) last.value = value;
}

}  // namespace octavo::text
