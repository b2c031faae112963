// Looks for stop strings in a stream of text and lets through only what can not be part of one.
//
// The automaton of Aho and Corasick ("Efficient string matching", 1975): its state is the longest
// end of the text so far that begins a stop string, and exactly that much is held back. The match
// that ends first counts; of those that end at the same place, the longest. Time is O(1) for each
// byte, whatever the stop strings. StopStrings is immutable, safe from any thread and made once for
// a request; each of its sequences has a StopMatcher, which holds back less than the longest stop
// string and refers to the StopStrings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/result.h"
#include "text/byte_trie.h"

namespace octavo::text {

class StopStrings {
 public:
  static constexpr size_t max_count = 64;
  static constexpr size_t max_total_bytes = 16384;

  // Errors: an empty string, one that is not UTF-8 (the cut could fall inside a character), too
  // many of them.
  static Result<StopStrings> create(const std::vector<std::string>& strings);

  bool empty() const { return trie_.empty(); }

 private:
  friend class StopMatcher;

  struct State {
    int32_t fallback = ByteTrie::root;  // the longest proper end of this state that is a state
    int32_t match = ByteTrie::none;     // the longest stop string that ends here
    uint32_t depth = 0;                 // bytes
  };

  void build_states();
  int32_t step(int32_t state, unsigned char byte) const;

  ByteTrie trie_;
  std::vector<State> states_;  // by node of the trie
  std::vector<uint32_t> lengths_;
};

class StopMatcher {
 public:
  explicit StopMatcher(const StopStrings& strings) : strings_(strings) {}

  struct Output {
    std::string text;      // may be shown now
    int32_t stopped = -1;  // which stop string came (its index); the stream is over
  };
  // Takes the next stretch of the stream; not after a stop string came.
  Output push(std::string_view text);
  // The end of the stream without a stop string: what was held back.
  std::string flush();

 private:
  const StopStrings& strings_;
  int32_t state_ = ByteTrie::root;
  bool stopped_ = false;
  std::string held_;  // depth of state_ bytes
};

}  // namespace octavo::text
