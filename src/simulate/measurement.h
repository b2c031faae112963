// Measurement: what a simulated run shows, averaged over its time.
//
// A run is measured while the memory is under load: from the moment when a tenth of its requests is
// done until the last one has been started. What comes before fills the memory, what comes after
// drains it. Every step counts with the time that it lasts.
#pragma once

#include <cstdint>

namespace octavo::simulate {

// Slots of the memory in one step; together they are all there are.
struct SlotUse {
  int64_t tokens = 0;      // hold K and V that somebody may still read
  int64_t reserved = 0;    // taken, empty, and will hold a token of their owner
  int64_t never_used = 0;  // taken, and empty until their owner gives them back
  int64_t rest = 0;        // free, cached, or lost to rounding
};

struct Step {
  double seconds = 0;
  SlotUse slots;
  int64_t shared_slots = 0;  // that would be taken as well if no sequence shared a block
  double requests = 0;       // in the batch
  int32_t new_tokens = 0;    // drawn
};

// Shares are from 0 to 1; those of slots are of all slots of the memory.
struct Measurement {
  double tokens = 0;
  double reserved = 0;
  double never_used = 0;
  double rest = 0;
  double tokens_of_taken = 0;   // share of the taken slots that hold tokens
  double saved_by_sharing = 0;  // slots saved by sharing, of those taken without sharing
  double batch_requests = 0;
  double output_tokens_per_s = 0;

  // Of the whole run.
  int64_t requests = 0;        // served to their end
  int64_t refused = 0;         // longer than the context or the memory: never started
  int64_t sequence_steps = 0;  // tokens drawn and steps of prompts, one for each sequence and step
  double simulated_s = 0;
  int64_t preemptions = 0;
  int64_t prefix_query_tokens = 0;
  int64_t prefix_hit_tokens = 0;
};

class Meter {
 public:
  void add(const Step& step);
  // Fills the averages in; those of nothing are 0.
  void average(Measurement& measurement) const;

 private:
  double seconds_ = 0;
  // Sums of a number times the seconds that it lasted.
  double tokens_ = 0;
  double reserved_ = 0;
  double never_used_ = 0;
  double rest_ = 0;
  double shared_ = 0;
  double requests_ = 0;
  int64_t new_tokens_ = 0;
};

}  // namespace octavo::simulate
