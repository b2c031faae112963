// A set of byte strings, each with a number, as a tree of bytes: finds which of them begin at a
// place of a text (special tokens) and is the ground of the stop strings' automaton.
//
// Grows by insert() only; const use is safe from any thread. Memory: 16 bytes for each byte of the
// strings that no other string shares as a prefix, and a table of 256 entries for the first byte.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace octavo::text {

class ByteTrie {
 public:
  static constexpr int32_t root = 0;
  static constexpr int32_t none = -1;  // no such node, or no value

  ByteTrie();

  // `text` is not empty. A string inserted twice keeps its first value.
  void insert(std::string_view text, int32_t value);

  bool empty() const { return nodes_.size() == 1; }
  size_t node_count() const { return nodes_.size(); }  // node 0 is the root
  int32_t child(int32_t node, unsigned char byte) const;
  int32_t value(int32_t node) const { return nodes_[static_cast<size_t>(node)].value; }

 private:
  struct Node {
    int32_t first_child = none;
    int32_t next_sibling = none;
    int32_t value = none;
    unsigned char byte = 0;
  };

  std::vector<Node> nodes_;
  // The root's children by byte: nearly every look-up ends here.
  std::array<int32_t, 256> first_bytes_;
};

}  // namespace octavo::text
