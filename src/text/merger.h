// The merge loop of byte-pair encoding, shared by both kinds of tokenizer: a row of symbols in
// which the best pair of neighbours becomes one symbol until no pair can.
//
// The best pair is the one of lowest priority number, the leftmost among equals. A heap holds the
// candidates and symbols form a linked list, so that n symbols take O(n log n). A candidate is not
// removed when one of its symbols is merged elsewhere; it is recognised as stale when it comes up:
//
//     symbols   h  e  l  l  o        candidate (left e, 2 bytes) is stale once "he" exists, because
//               └──┘                 e has no length any more, and candidate (left h, 2 bytes) once
//                                    "hel" exists, because h and its neighbour span more bytes.
//
// One Merger is used for many words to keep its buffers; it is not for concurrent use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace octavo::text {

struct Symbol {
  std::string_view text;  // empty once the symbol was merged into its left neighbour
  int32_t id;             // its token, or no_token where the text has none
  int32_t previous;       // index, -1 at the row's beginning
  int32_t next;           // index, -1 at the row's end
};

// What a pair of neighbours may become.
struct Merge {
  uint32_t priority;  // lower goes first
  int32_t id;
};

class Merger {
 public:
  void clear() { symbols_.clear(); }

  // Appends a symbol; its text must follow the last one's without a gap.
  void add(std::string_view text, int32_t id) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back({text, id, index - 1, -1});
  }

  // Merges until nothing can be merged. `find(left, right)` is the pair's std::optional<Merge>; it
  // must depend on the two symbols' text and id alone.
  template <class Find>
  void merge(const Find& find) {
    heap_.clear();
    for (size_t i = 0; i + 1 < symbols_.size(); ++i) {
      collect(static_cast<int32_t>(i), find);
    }
    std::make_heap(heap_.begin(), heap_.end(), after);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), after);
      const Candidate best = heap_.back();
      heap_.pop_back();
      if (!is_current(best)) continue;
      Symbol& left = symbol(best.left);
      absorb_next(left, best.left);
      left.id = best.id;
      push(left.previous, find);
      push(best.left, find);
    }
  }

  // Calls `use(symbol)` for what is left, in order.
  template <class Use>
  void for_each(const Use& use) const {
    for (const Symbol& each : symbols_) {
      if (!each.text.empty()) use(each);
    }
  }

 private:
  struct Candidate {
    uint32_t priority;
    int32_t left;
    uint32_t bytes;  // of both symbols together when this was found
    int32_t id;
  };

  static bool after(const Candidate& a, const Candidate& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.left > b.left;
  }

  Symbol& symbol(int32_t index) { return symbols_[static_cast<size_t>(index)]; }

  bool is_current(const Candidate& candidate) {
    const Symbol& left = symbol(candidate.left);
    if (left.text.empty() || left.next < 0) return false;
    return left.text.size() + symbol(left.next).text.size() == candidate.bytes;
  }

  void absorb_next(Symbol& left, int32_t left_index) {
    Symbol& right = symbol(left.next);
    left.text = std::string_view(left.text.data(), left.text.size() + right.text.size());
    left.next = right.next;
    right.text = {};
    if (left.next >= 0) symbol(left.next).previous = left_index;
  }

  // Adds the pair that begins at `left_index`, if there is one and it can be merged, to the heap's
  // storage.
  template <class Find>
  bool collect(int32_t left_index, const Find& find) {
    if (left_index < 0) return false;
    const Symbol& left = symbol(left_index);
    if (left.next < 0) return false;
    const Symbol& right = symbol(left.next);
    const std::optional<Merge> found = find(left, right);
    if (!found) return false;
    heap_.push_back({found->priority, left_index,
                     static_cast<uint32_t>(left.text.size() + right.text.size()), found->id});
    return true;
  }

  template <class Find>
  void push(int32_t left_index, const Find& find) {
    if (collect(left_index, find)) std::push_heap(heap_.begin(), heap_.end(), after);
  }

  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace octavo::text
