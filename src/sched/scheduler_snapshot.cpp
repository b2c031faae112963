#include "sched/scheduler_snapshot.h"

#include "sched/scheduler.h"

namespace octavo {

SchedulerSnapshot Scheduler::snapshot() const {
  SchedulerSnapshot snapshot;
  std::vector<LiveBlocks> live;
  for (const Sequence* s : running_) {
    live.push_back({.blocks = &s->blocks_, .computed = s->computed_});
    snapshot.sequences.push_back({.sequence = s->id_,
                                  .request = s->request_,
                                  .output_index = s->output_index_,
                                  .prompt_tokens = s->prompt_length_,
                                  .generated_tokens = s->generated_length(),
                                  .computed_tokens = s->computed_});
  }
  snapshot.kv = kv_.snapshot(live);
  return snapshot;
}

}  // namespace octavo
