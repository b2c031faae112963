#include <utility>
#include <vector>

#include "sched/scheduler.h"

namespace octavo {

CacheSnapshot Scheduler::snapshot() const {
  std::vector<SequenceSnapshot> sequences;
  std::vector<LiveBlocks> live;
  for (const Sequence* s : running_) {
    live.push_back({.blocks = &s->blocks_, .computed = s->computed_});
    sequences.push_back({.sequence = s->id_,
                         .request = s->request_,
                         .output_index = s->output_index_,
                         .prompt_tokens = s->prompt_length_,
                         .generated_tokens = s->generated_length(),
                         .computed_tokens = s->computed_});
  }
  CacheSnapshot snapshot = kv_.snapshot(live);
  snapshot.sequences = std::move(sequences);
  return snapshot;
}

}  // namespace octavo
