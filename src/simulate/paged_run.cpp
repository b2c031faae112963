#include "simulate/paged_run.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sched/scheduler.h"
#include "simulate/arrivals.h"

namespace octavo::simulate {
namespace {

// Requests whose tokens exist: the scheduler's queue. The others wait in the workload, which costs
// nothing, and come in the same order.
constexpr int32_t kMostQueued = 64;
constexpr int32_t kExtentBlocks = 64;

// A token is made of the id of its text and its place there; ids of text that occurs once are
// negative and go down.
class TokenMaker {
 public:
  TokenId make() { return --last_; }

  std::vector<TokenId> make_prompt(const Request& request) {
    std::vector<TokenId> tokens;
    tokens.reserve(static_cast<size_t>(request.final_length()) + 1);  // with what it will draw
    tokens.resize(static_cast<size_t>(request.prompt_length));
    if (request.pieces.empty()) {
      for (TokenId& token : tokens) token = make();
      return tokens;
    }
    std::span<TokenId> rest = tokens;
    for (const int32_t piece : request.pieces) {
      const size_t count = std::min(rest.size(), size_t{kPieceTokens});
      std::iota(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(count), piece * kPieceTokens);
      rest = rest.subspan(count);
    }
    return tokens;
  }

 private:
  TokenId last_ = 0;
};

KvConfig kv_config(const Machine& machine, const Paging& paging) {
  const auto blocks_in = [&](int64_t bytes) {
    constexpr int64_t kMostBlocks = std::numeric_limits<int32_t>::max() / 16;
    const int64_t blocks = bytes / (machine.group_token_bytes * paging.block_size);
    return static_cast<int32_t>(std::min(blocks, kMostBlocks));
  };
  return {.block_size = paging.block_size,
          .groups = machine.groups,
          .max_blocks = blocks_in(machine.memory_bytes),
          .extent_blocks = kExtentBlocks,
          .prefix_cache = paging.prefix_cache,
          .host_blocks = blocks_in(machine.host_memory_bytes)};
}

// A block has its tokens in the layers of one KV group.
double move_block_us(const Machine& machine, const Paging& paging) {
  return machine.step_time.host_token_us * paging.block_size /
         static_cast<double>(machine.groups.size());
}

class PagedRun {
 public:
  PagedRun(const Machine& machine, const Workload& workload, const Paging& paging)
      : machine_(machine),
        paging_(paging),
        random_(paging.seed),
        arrivals_(workload),
        scheduler_(kv_config(machine, paging),
                   {.context_length = machine.context_length,
                    .max_running_sequences = machine.max_sequences,
                    .max_queued_requests = kMostQueued,
                    .costs = {.token = machine.step_time.token_us,
                              .block = move_block_us(machine, paging)}}),
        total_slots_(int64_t{scheduler_.kv().config().max_blocks} * paging.block_size) {}

  Measurement run() {
    for (;;) {
      submit();
      const Plan& plan = scheduler_.plan(machine_.batch_tokens);
      if (!plan.empty()) {
        take_step(plan);
      } else if (!arrivals_.all_came()) {
        arrivals_.sleep();
      } else {
        break;
      }
    }
    OCTAVO_CHECK(!scheduler_.has_work(), "the scheduler waits for nothing");
    finish_result();
    return result_;
  }

 private:
  // What is known of a sequence from the plan that first names it until it ends.
  struct Followed {
    size_t position = kNowhere;  // in followed_
    int32_t final_length = 0;    // positions whose K and V are kept in the end
  };
  static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

  struct Open {
    int32_t final_length = 0;
    int32_t outputs = 0;  // that are not over
  };

  void submit() {
    while (scheduler_.queued_requests() < kMostQueued) {
      const Request* request = arrivals_.waiting();
      if (request == nullptr) return;
      arrivals_.take();
      const Result<RequestId> id = scheduler_.submit({.prompt = tokens_.make_prompt(*request),
                                                      .max_new_tokens = request->output_length,
                                                      .outputs = paging_.outputs,
                                                      .beam_width = paging_.beams});
      if (id) {
        open_[*id] = {request->final_length(), paging_.outputs};
      } else {
        ++result_.refused;
      }
    }
  }

  void take_step(const Plan& plan) {
    int64_t kv_tokens = 0;
    for (const PlanItem& item : plan.items) {
      kv_tokens += item.first_position + item.q_len;
      follow(item.sequence);
    }
    for (const SequenceId id : plan.samples) follow(id);
    result_.sequence_steps += std::max(std::ssize(plan.items), std::ssize(plan.samples));

    const int64_t moved_blocks = std::ssize(plan.moves.swap_out) + std::ssize(plan.moves.swap_in);
    const int64_t moved_tokens = moved_blocks * paging_.block_size / std::ssize(machine_.groups);
    Step step{.seconds = machine_.step_time.seconds(plan.token_count, kv_tokens, moved_tokens),
              .requests = static_cast<double>(scheduler_.running_sequences()) /
                          std::max(paging_.outputs, paging_.beams),
              .new_tokens = static_cast<int32_t>(plan.samples.size())};
    if (arrivals_.is_measured(result_.requests + result_.refused, scheduler_.queued_requests())) {
      measure_slots(step);
      meter_.add(step);
    }
    arrivals_.advance(step.seconds);
    commit(plan);
  }

  void follow(SequenceId id) {
    const auto index = static_cast<size_t>(id);
    if (index >= by_id_.size()) by_id_.resize(index + 1);
    Followed& followed = by_id_[index];
    if (followed.position != kNowhere) return;
    followed.position = followed_.size();
    followed.final_length = open_.at(scheduler_.sequence(id).request()).final_length;
    followed_.push_back(id);
  }

  void measure_slots(Step& step) {
    ++measured_steps_;
    const auto groups = static_cast<int32_t>(machine_.groups.size());
    int64_t taken_alone = 0;
    for (const SequenceId id : followed_) {
      const Sequence& s = scheduler_.sequence(id);
      const int32_t computed = s.computed_length();
      if (computed == 0) continue;  // it was preempted
      for (int32_t g = 0; g < groups; ++g) {
        const std::span<const BlockId> table = s.table(g);
        taken_alone += held_blocks(table) * paging_.block_size;
        // Only a last block has empty slots; outputs of one prompt may still share it.
        if (!is_first_sight(table.back())) continue;
        const int32_t empty = static_cast<int32_t>(table.size()) * paging_.block_size - computed;
        const int32_t left = by_id_[static_cast<size_t>(id)].final_length - computed;
        step.slots.reserved += std::min(empty, left);
        step.slots.never_used += std::max(empty - left, 0);
      }
    }
    const int64_t taken = int64_t{scheduler_.kv().counts().in_use} * paging_.block_size;
    step.slots.tokens = taken - step.slots.reserved - step.slots.never_used;
    step.slots.rest = total_slots_ - taken;
    step.shared_slots = taken_alone - taken;
  }

  // Without the positions that a window has passed, which are at the front.
  static int64_t held_blocks(std::span<const BlockId> table) {
    if (table.front() >= 0) return std::ssize(table);
    return table.end() - std::ranges::partition_point(table, [](BlockId b) { return b < 0; });
  }

  // Whether the block is counted as a last block for the first time in this step.
  bool is_first_sight(BlockId block) {
    const auto index = static_cast<size_t>(block);
    if (index >= last_seen_.size()) last_seen_.resize(index + 1, 0);
    return std::exchange(last_seen_[index], measured_steps_) != measured_steps_;
  }

  void commit(const Plan& plan) {
    results_.assign(plan.samples.size(), SampleResult{});
    if (paging_.beams > 0) {
      draw_branches(plan);
    } else {
      draw_tokens();
    }
    for (size_t i = 0; i < plan.samples.size(); ++i) {
      const Sequence& s = scheduler_.sequence(plan.samples[i]);
      // The last token is drawn when all positions before it are computed.
      const bool is_complete =
          s.computed_length() == by_id_[static_cast<size_t>(s.id())].final_length;
      const bool is_dead_beam = paging_.beams > 0 && results_[i].branches.empty();
      if (is_complete || is_dead_beam) unfollow(s.id());
      if (is_complete) complete_output(s.request());
    }
    scheduler_.commit(plan, results_);
  }

  void draw_tokens() {
    new_tokens_.resize(results_.size());
    for (size_t i = 0; i < results_.size(); ++i) {
      new_tokens_[i] = tokens_.make();
      results_[i].accepted = {&new_tokens_[i], 1};
    }
  }

  // The beams of a request are sampled in one step, one after the other.
  void draw_branches(const Plan& plan) {
    const auto width = static_cast<size_t>(paging_.beams);
    branches_.resize(plan.samples.size() * width);
    parents_.resize(width);
    std::span<Branch> rest = branches_;
    for (size_t begin = 0; begin < plan.samples.size();) {
      const RequestId request = scheduler_.sequence(plan.samples[begin]).request();
      size_t end = begin + 1;
      while (end < plan.samples.size() &&
             scheduler_.sequence(plan.samples[end]).request() == request) {
        ++end;
      }
      for (size_t& parent : parents_) parent = begin + random_() % (end - begin);
      for (size_t i = begin; i < end; ++i) {
        const auto count = static_cast<size_t>(std::ranges::count(parents_, i));
        for (Branch& branch : rest.first(count)) branch.token = tokens_.make();
        results_[i].branches = rest.first(count);
        rest = rest.subspan(count);
      }
      begin = end;
    }
  }

  void unfollow(SequenceId id) {
    const size_t position = by_id_[static_cast<size_t>(id)].position;
    followed_[position] = followed_.back();
    by_id_[static_cast<size_t>(followed_[position])].position = position;
    by_id_[static_cast<size_t>(id)].position = kNowhere;
    followed_.pop_back();
  }

  void complete_output(RequestId request) {
    const auto open = open_.find(request);
    if (open == open_.end()) return;  // a search, of which another beam said so
    if (--open->second.outputs > 0) return;
    open_.erase(open);
    ++result_.requests;
  }

  void finish_result() {
    meter_.average(result_);
    result_.simulated_s = arrivals_.now_s();
    const SchedulerCounters counters = scheduler_.counters();
    result_.preemptions = counters.preemptions;
    result_.prefix_query_tokens = counters.prefix_query_tokens;
    result_.prefix_hit_tokens = counters.prefix_hit_tokens;
  }

  const Machine& machine_;
  Paging paging_;
  std::mt19937_64 random_;  // draws which beams survive
  Arrivals arrivals_;
  TokenMaker tokens_;
  Scheduler scheduler_;
  int64_t total_slots_;
  std::unordered_map<RequestId, Open> open_;  // submitted, and not over
  std::vector<Followed> by_id_;               // by SequenceId
  std::vector<SequenceId> followed_;          // that run or were preempted, in any order
  std::vector<uint32_t> last_seen_;           // by BlockId: when it was counted as a last block
  uint32_t measured_steps_ = 0;
  std::vector<TokenId> new_tokens_;
  std::vector<Branch> branches_;
  std::vector<size_t> parents_;
  std::vector<SampleResult> results_;
  Meter meter_;
  Measurement result_;
};

}  // namespace

Measurement run_paged(const Machine& machine, const Workload& workload, const Paging& paging) {
  return PagedRun(machine, workload, paging).run();
}

}  // namespace octavo::simulate
