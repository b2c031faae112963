// Token sequences for the tests of the cache and the scheduler.
#pragma once

#include <numeric>
#include <vector>

#include "kv/group.h"

namespace octavo {

using Tokens = std::vector<TokenId>;

inline Tokens count_from(TokenId first, size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

}  // namespace octavo
