// Gang: the live beams of one request, which the scheduler serves as one.
//
// A beam search chooses among the continuations of all its beams, so their last tokens are computed
// in one step or not at all, and nothing is planned for them until the choice is committed. They
// are admitted and preempted as one, too, and hold `width` places among the running sequences
// however many of them live: half a gang that waits for the other half would hold blocks and never
// move.
//
// Beams have equal lengths and descend from one prompt by forks. A gang that comes back after a
// preemption gathers first: its first member alone is admitted, computes what all have in common,
// and the others fork off it there. So a gang never needs more blocks than it did before, whether
// or not the prefix cache remembers any.
//
// The scheduler owns and changes it.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/sequence.h"

namespace octavo {

struct Gang {
  int32_t width = 0;     // the most beams that live between two calls
  bool running = false;  // holds its places
  // > 0: only the first member is served, up to this length; there the others fork off it.
  int32_t gathers_at = 0;
  std::vector<Sequence*> members;  // live ones, in the order of service

  bool gathers() const { return gathers_at > 0; }
  // The members' last tokens are in a step that is not committed.
  bool awaits_choice() const;
  // How many leading tokens all members have in common, but for the last one, whose logits are
  // needed of each.
  int32_t common_length() const;
  // The lowest output index that no member has.
  int32_t free_index() const;
};

}  // namespace octavo
