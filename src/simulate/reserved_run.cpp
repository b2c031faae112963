#include "simulate/reserved_run.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "simulate/arrivals.h"
#include "simulate/buddy_allocator.h"

namespace octavo::simulate {
namespace {

struct Running {
  const Request* request = nullptr;
  int64_t first_slot = 0;
  int64_t reserved = 0;  // slots asked for; the allocator rounds them up
  int32_t computed = 0;
};

class ReservedRun {
 public:
  ReservedRun(const Machine& machine, const Workload& workload, Reservation reservation)
      : machine_(machine),
        reservation_(reservation),
        arrivals_(workload),
        slots_(machine.slots()),
        memory_(slots_) {}

  Measurement run() {
    longest_range_ = memory_.longest_range();
    while (!arrivals_.all_came() || !running_.empty()) step();
    meter_.average(result_);
    result_.simulated_s = arrivals_.now_s();
    return result_;
  }

 private:
  int64_t wanted(const Request& request) const {
    switch (reservation_) {
      case Reservation::longest:
        return machine_.context_length;
      case Reservation::power_of_two:
        return request.prompt_length +
               int64_t{std::bit_ceil(static_cast<uint32_t>(request.output_length))};
      case Reservation::true_length:
        break;
    }
    return request.final_length();
  }

  void admit() {
    for (const Request* request = arrivals_.waiting(); request != nullptr;
         request = arrivals_.waiting()) {
      const bool is_too_long =
          int64_t{request->prompt_length} + request->output_length > machine_.context_length;
      const int64_t slots = std::min(wanted(*request), int64_t{machine_.context_length});
      if (is_too_long || BuddyAllocator::range_length(slots) > longest_range_) {
        arrivals_.take();
        ++result_.refused;
        continue;
      }
      if (std::ssize(running_) >= machine_.max_sequences) return;
      const std::optional<int64_t> first = memory_.allocate(slots);
      if (!first) return;
      arrivals_.take();
      running_.push_back({request, *first, slots, 0});
    }
  }

  void step() {
    admit();
    if (running_.empty()) {
      if (!arrivals_.all_came()) arrivals_.sleep();
      return;
    }
    Step step{.requests = static_cast<double>(running_.size())};
    compute(step);
    const int64_t queued = arrivals_.waiting() != nullptr ? 1 : 0;
    if (arrivals_.is_measured(result_.requests + result_.refused, queued)) meter_.add(step);
    arrivals_.advance(step.seconds);
    finish();
  }

  // Next tokens first, then prompts in chunks of what the step has left, as Scheduler::plan() does.
  void compute(Step& step) {
    int64_t kv_tokens = 0;
    auto budget = machine_.batch_tokens;
    for (const bool is_prompt : {false, true}) {
      for (Running& r : running_) {
        const int32_t left = r.request->prompt_length - r.computed;
        if ((left > 0) != is_prompt || budget == 0) continue;
        const int32_t count = is_prompt ? std::min(left, budget) : 1;
        r.computed += count;
        budget -= count;
        kv_tokens += r.computed;
        ++result_.sequence_steps;
        if (r.computed >= r.request->prompt_length) ++step.new_tokens;
      }
    }
    step.seconds = machine_.step_time.seconds(machine_.batch_tokens - budget, kv_tokens);
    for (const Running& r : running_) {
      const int64_t needed = r.request->final_length();
      step.slots.tokens += r.computed;
      step.slots.reserved += needed - r.computed;
      step.slots.never_used += r.reserved - needed;
    }
    const SlotUse& use = step.slots;
    step.slots.rest = slots_ - use.tokens - use.reserved - use.never_used;
  }

  void finish() {
    std::erase_if(running_, [this](const Running& r) {
      if (r.computed < r.request->final_length()) return false;
      memory_.free(r.first_slot, r.reserved);
      ++result_.requests;
      return true;
    });
  }

  const Machine& machine_;
  Reservation reservation_;
  Arrivals arrivals_;
  int64_t slots_;
  BuddyAllocator memory_;
  int64_t longest_range_ = 0;
  std::vector<Running> running_;  // in order of arrival
  Meter meter_;
  Measurement result_;
};

}  // namespace

Measurement run_reserved(const Machine& machine, const Workload& workload,
                         Reservation reservation) {
  return ReservedRun(machine, workload, reservation).run();
}

}  // namespace octavo::simulate
