// Scheduler: decides which sequences compute how many tokens in the next step, and learns what
// came.
//
//   submit() -> waiting -> plan() admits -> running -> commit() finishes
//                  ^____________ plan() preempts __|
//
// There is one order of service: priority (a lower number goes first), then arrival, then output
// index. plan() serves running sequences in that order, next tokens before chunks of prompts where
// the token budget is short, and then admits waiting ones, first come first served. When the pool
// is dry the last sequence in the order gives its blocks back; its tokens are kept. What it
// computed stays cached until the room is needed; then it goes to the host tier, where that is
// estimated to be cheaper than to compute it again, and is found by the prefix lookup when the
// sequence is admitted again. The first in the order is never preempted, so it always progresses
// and nothing livelocks; where memory for the pool is short (block_pool.h) it may starve, which is
// the caller's to end. Admission never preempts.
//
// A prompt that is computed in chunks takes what is left of the budget until it is complete, so
// that nothing else is admitted beside it. Its blocks enter the prefix index in the plan that
// writes them. Requests that arrive together with one prefix thus compute it once: the others
// follow in the step that completes it, and when the first is cancelled the next goes on where it
// stopped.
//
// The beams of a search are a gang: what is said of a sequence here holds for all of them as one
// (gang.h).
//
// plan() may be called while one earlier plan is uncommitted ("running ahead"). Plans are committed
// in the order in which they were made.
//
// Owns all sequences and the KvCache. No tensor, no clock, no thread; one thread calls it.
// Limits: SchedulerLimits, each checked in submit().
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "kv/kv_cache.h"
#include "octavo/cache_snapshot.h"
#include "octavo/result.h"
#include "sched/gang.h"
#include "sched/plan.h"
#include "sched/sequence.h"

namespace octavo {

// What it is estimated to cost a preempted sequence to come back: its tokens computed again, or its
// blocks moved to the host tier and back. Any unit; only the comparison counts.
struct SwapCosts {
  double token = 1.0;  // to compute a token again
  double block = 0.0;  // to move a block one way
};

struct SchedulerLimits {
  int32_t context_length = 0;           // prompt and new tokens of one sequence
  int32_t max_running_sequences = 256;  // also the most outputs of one request
  int32_t max_queued_requests = 1024;   // submitted and not yet admitted
  int32_t max_extra_key_bytes = 1024;
  int32_t max_beam_width = 16;
  SwapCosts costs;
};

struct RequestSpec {
  std::vector<TokenId> prompt;  // at least one token
  int32_t max_new_tokens = 0;   // at least one, for each output
  int32_t outputs = 1;          // n sequences from one prompt
  // > 0: the sequence is the first beam of a search, whose samples may branch (plan.h) into no more
  // live sequences than this; `outputs` is 1. No step may have a smaller token budget.
  int32_t beam_width = 0;
  int32_t priority = 0;   // lower numbers are served first
  std::string extra_key;  // requests share prefixes only when these are equal
  Retention retention;    // of the blocks it leaves in the cache
};

struct SchedulerCounters {
  int64_t preemptions = 0;
  int64_t swap_preemptions = 0;     // of those, with the content kept for the host tier
  int64_t prefix_query_tokens = 0;  // looked up at admission
  int64_t prefix_hit_tokens = 0;    // of those, found
  int64_t evictions = 0;            // cached blocks that were taken for something else
  int64_t copies = 0;               // blocks copied because their owner wanted to write
  int64_t swapped_out = 0;          // blocks that went to the host tier
  int64_t swapped_in = 0;           // blocks that came from there
};

class Scheduler {
 public:
  // `source`: of memory for the KV cache (block_pool.h), which plan() asks before blocks are used.
  Scheduler(KvConfig kv, SchedulerLimits limits, ExtentSource source = {});
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Whether a request can ever run. invalid_input: an empty prompt, a number out of range, a
  // context that is too long, a request that could not run even with the whole pool to itself. The
  // error says the numbers. Reads nothing that changes: any thread may call it at any time.
  Result<void> check(const RequestSpec& spec) const;

  // The time in milliseconds, from any beginning, never going back: what times to live count.
  void set_time(int64_t now_ms) { kv_.set_time(now_ms); }

  // Queues a request. The errors of check(); resource: the queue is full. Ids ascend in order of
  // arrival.
  Result<RequestId> submit(RequestSpec spec);

  // Ends all sequences of a request at once. Unknown and finished requests are ignored.
  void cancel(RequestId request);

  // The next step, at most token_budget (>= 1) tokens. At most one earlier plan may be uncommitted.
  const Plan& plan(int32_t token_budget);

  // After an empty plan, with no other uncommitted: the request that comes first and for which
  // there is not enough memory, even alone. Nothing unless memory was refused.
  std::optional<RequestId> starving() const;

  // What the oldest uncommitted plan gave: one result per element of plan.samples. Results of
  // sequences that are over are ignored. A sequence ends when its result says so or when it has its
  // max_new_tokens.
  void commit(const Plan& plan, std::span<const SampleResult> results);

  // See KvCache::offer_host_block. Between two plans.
  HostSlot offer_host_block(std::span<const TokenId> tokens, std::string_view extra_key,
                            int32_t group) {
    return kv_.offer_host_block(tokens, extra_key, group);
  }

  // How many full blocks at the prompt's beginning the cache holds now.
  int32_t cached_blocks(std::span<const TokenId> prompt, std::string_view extra_key) {
    return kv_.match(prompt, extra_key).blocks;
  }

  // Forgets all cached prefixes and returns the extents whose memory may be given back. No plan may
  // be uncommitted.
  std::vector<ExtentId> release_idle();

  const Sequence& sequence(SequenceId id) const { return *sequences_[static_cast<size_t>(id)]; }
  bool has_work() const { return !requests_.empty(); }  // requests that are not over
  int32_t uncommitted_plans() const { return uncommitted_; }
  int32_t running_sequences() const { return static_cast<int32_t>(running_.size()); }
  int32_t queued_requests() const { return queued_requests_; }
  // That wait to be admitted again.
  int32_t preempted_sequences() const {
    return static_cast<int32_t>(waiting_.size()) - queued_requests_;
  }
  const KvCache& kv() const { return kv_; }  // block size, groups, counts
  SchedulerCounters counters() const;
  // Who holds which block, for people. Between two calls of the others.
  CacheSnapshot snapshot() const;

  // The first breach of an invariant; nothing when all is well. For tests: it visits everything.
  std::optional<std::string> check_integrity() const;

 private:
  using Rank = Sequence::Rank;
  struct RankedSequence {
    Rank rank;
    Sequence* sequence = nullptr;
    friend bool operator<(const RankedSequence& a, const RankedSequence& b) {
      return a.rank < b.rank;
    }
  };

  struct LiveRequest {
    std::vector<SequenceId> sequences;  // that are not over
    int32_t running = 0;                // of them
  };

  int32_t max_beam_width() const;
  Sequence& create(RequestId request);
  void destroy_if_unused(Sequence& s);
  void finish(Sequence& s);
  void enqueue(Sequence& s);
  void begin_running(Sequence& s);
  void leave_running(Sequence& s, Afterlife afterlife);
  Sequence& fork_off(Sequence& parent, int32_t output_index);

  // Parts of plan().
  void plan_running(Plan& plan);
  void look_ahead(size_t served) const;
  void serve(Plan& plan, Sequence& s, int32_t wanted, bool first);
  int32_t next_tokens_after(const Sequence& s) const;
  int32_t secure_blocks(Sequence& s, int32_t count);
  bool secure(const Sequence& s, int32_t blocks);
  int32_t affordable(const Sequence& s, int32_t count);
  bool may_preempt_for(const Sequence& s) const;
  void preempt_last();
  bool swap_is_cheaper(const Sequence& s) const;
  void add_item(Plan& plan, Sequence& s, int32_t count);
  void add_sample(Plan& plan, Sequence& s);
  void fork_outputs(Plan& plan, Sequence& leader);
  void admit_waiting(Plan& plan);
  int32_t places(const Sequence& s) const;
  int64_t prompt_blocks(const Sequence& s, const PrefixMatch& match) const;
  int64_t growth_blocks() const;
  bool has_room(const Sequence& s, const PrefixMatch& match) const;
  void admit(Plan& plan, Sequence& s, const PrefixMatch& match);

  // Part of commit().
  void accept(Sequence& s, const PlanItem& item, const SampleResult& result, uint64_t step);

  // Of gangs.
  void plan_gang(Plan& plan, const Gang& gang, bool first);
  bool secure_last_tokens(const Gang& gang);
  void preempt_gang(Gang& gang);
  void gather(Gang& gang);
  void branch(Sequence& s, std::span<const Branch> branches);
  void leave_gang(Sequence& s);

  std::optional<std::string> check_sequence(const Sequence& s) const;
  std::optional<std::string> check_gang(const Gang& gang) const;

  SchedulerLimits limits_;
  KvCache kv_;
  SchedulerCounters counters_;
  RequestId next_request_ = 1;
  uint64_t next_step_ = 1;
  int32_t queued_requests_ = 0;

  std::vector<std::unique_ptr<Sequence>> sequences_;  // by SequenceId
  std::vector<SequenceId> unused_ids_;
  std::unordered_map<RequestId, LiveRequest> requests_;
  std::unordered_map<RequestId, Gang> gangs_;
  std::set<RankedSequence> waiting_;
  std::vector<Sequence*> running_;  // in order of service
  std::vector<Sequence*> joining_;  // admitted or forked by the plan being made
  int32_t reserved_sequences_ = 0;  // running ones and the outputs they will fork
  int32_t running_requests_ = 0;    // of which a sequence runs
  int64_t promised_blocks_ = 0;     // sum over the running sequences

  std::array<Plan, 2> plans_;  // step s is plans_[s % 2]
  int32_t uncommitted_ = 0;

  // State of the plan being made.
  int32_t budget_left_ = 0;
  bool dry_ = false;  // a sequence did not get its blocks: nothing more is admitted
};

}  // namespace octavo
