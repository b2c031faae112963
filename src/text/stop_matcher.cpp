#include "text/stop_matcher.h"

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"

namespace octavo::text {

Result<StopStrings> StopStrings::create(const std::vector<std::string>& strings) {
  if (strings.size() > max_count) {
    return invalid_input("stop: {} strings, at most {} are allowed", strings.size(), max_count);
  }
  StopStrings made;
  size_t total_bytes = 0;
  for (size_t i = 0; i < strings.size(); ++i) {
    if (strings[i].empty()) return invalid_input("stop: string {} is empty", i);
    if (replace_invalid_utf8(strings[i]) != strings[i]) {
      return invalid_input("stop: string {} is not UTF-8: {}", i, printable(strings[i]));
    }
    total_bytes += strings[i].size();
    if (total_bytes > max_total_bytes) {
      return invalid_input("stop: more than {} bytes in all strings", max_total_bytes);
    }
    made.trie_.insert(strings[i], static_cast<int32_t>(i));
    made.lengths_.push_back(static_cast<uint32_t>(strings[i].size()));
  }
  made.build_states();
  return made;
}

// Breadth first, so that a state's fallback, which is shorter, is ready before it.
void StopStrings::build_states() {
  states_.resize(trie_.node_count());
  std::vector<int32_t> level = {ByteTrie::root};
  while (!level.empty()) {
    std::vector<int32_t> deeper;
    for (const int32_t node : level) {
      const State& parent = states_[static_cast<size_t>(node)];
      for (int byte = 0; byte < 256; ++byte) {
        const int32_t child = trie_.child(node, static_cast<unsigned char>(byte));
        if (child == ByteTrie::none) continue;
        State& state = states_[static_cast<size_t>(child)];
        state.depth = parent.depth + 1;
        if (node != ByteTrie::root) {
          state.fallback = step(parent.fallback, static_cast<unsigned char>(byte));
        }
        state.match = trie_.value(child);
        if (state.match == ByteTrie::none) {
          state.match = states_[static_cast<size_t>(state.fallback)].match;
        }
        deeper.push_back(child);
      }
    }
    level.swap(deeper);
  }
}

int32_t StopStrings::step(int32_t state, unsigned char byte) const {
  while (true) {
    const int32_t child = trie_.child(state, byte);
    if (child != ByteTrie::none) return child;
    if (state == ByteTrie::root) return ByteTrie::root;
    state = states_[static_cast<size_t>(state)].fallback;
  }
}

StopMatcher::Output StopMatcher::push(std::string_view text) {
  OCTAVO_CHECK(!stopped_, "text after a stop string");
  std::string seen = std::exchange(held_, {});
  for (const char c : text) {
    seen += c;
    state_ = strings_.step(state_, static_cast<unsigned char>(c));
    const int32_t match = strings_.states_[static_cast<size_t>(state_)].match;
    if (match == ByteTrie::none) continue;
    stopped_ = true;
    seen.resize(seen.size() - strings_.lengths_[static_cast<size_t>(match)]);
    return {std::move(seen), match};
  }
  const size_t keep = strings_.states_[static_cast<size_t>(state_)].depth;
  held_ = seen.substr(seen.size() - keep);
  seen.resize(seen.size() - keep);
  return {std::move(seen), -1};
}

std::string StopMatcher::flush() {
  state_ = ByteTrie::root;
  return std::exchange(held_, {});
}

}  // namespace octavo::text
