#include "sched/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace octavo {

namespace {

// What this many requests hold is kept free for all to grow into (growth_blocks). Chosen by
// `octavo simulate`: half or twice as much makes little difference to lengths like ShareGPT's; with
// short ones like Alpaca's, half preempts more than it gains, and twice leaves more room unused.
constexpr int64_t kGrowthRequests = 8;

// With many sequences, most of what a token costs is to wait for memory. So while one is served,
// what those after it need is asked for: first the sequence, and once that is there, what it points
// to. How many sequences ahead; half or twice as many make no difference.
constexpr size_t kSequencesAhead = 8;
constexpr size_t kContentsAhead = 4;

// In bytes too, where they are known: blocks mean little to who sets kv-memory.
std::string shortage(int64_t needed, const KvConfig& kv) {
  std::string text = fmt::format("need {} KV blocks, the pool has {}", needed, kv.max_blocks);
  if (kv.block_bytes > 0) {
    text += fmt::format(" ({} bytes, kv-memory allows {})", needed * kv.block_bytes,
                        kv.max_blocks * kv.block_bytes);
  }
  return text;
}

}  // namespace

Scheduler::Scheduler(KvConfig kv, SchedulerLimits limits, ExtentSource source)
    : limits_(limits), kv_(std::move(kv), std::move(source)) {
  OCTAVO_CHECK(limits.context_length >= 1 && limits.max_running_sequences >= 1 &&
               limits.max_queued_requests >= 1 && limits.max_extra_key_bytes >= 0);
}

// ---- submit and cancel

Result<void> Scheduler::check(const RequestSpec& spec) const {
  const auto prompt = static_cast<int64_t>(spec.prompt.size());
  if (prompt == 0) return invalid_input("the prompt has no tokens");
  if (spec.max_new_tokens < 1) {
    return invalid_input("max_new_tokens is {}, it must be at least 1", spec.max_new_tokens);
  }
  if (spec.outputs < 1 || spec.outputs > limits_.max_running_sequences) {
    return invalid_input("{} outputs were asked for, from 1 to {} can run", spec.outputs,
                         limits_.max_running_sequences);
  }
  if (spec.extra_key.size() > static_cast<size_t>(limits_.max_extra_key_bytes)) {
    return invalid_input("the cache key has {} bytes, at most {} are allowed",
                         spec.extra_key.size(), limits_.max_extra_key_bytes);
  }
  if (spec.retention.priority < 0 || spec.retention.priority >= kCachePriorities) {
    return invalid_input("cache_priority is {}, it must be from 0 to {}", spec.retention.priority,
                         kCachePriorities - 1);
  }
  if (spec.retention.ttl_ms < 0) {
    return invalid_input("the cache's time to live is {} ms, it must not be negative",
                         spec.retention.ttl_ms);
  }
  if (prompt + spec.max_new_tokens > limits_.context_length) {
    return invalid_input("{} prompt tokens and {} new tokens exceed the context length of {}",
                         prompt, spec.max_new_tokens, limits_.context_length);
  }
  if (spec.beam_width < 0 || spec.beam_width > max_beam_width()) {
    return invalid_input("{} beams were asked for, up to {} can run", spec.beam_width,
                         max_beam_width());
  }
  if (spec.beam_width > 0 && spec.outputs != 1) {
    return invalid_input("{} outputs of a beam search were asked for, it has 1", spec.outputs);
  }
  // The last token is drawn and never computed.
  const int64_t length = prompt + spec.max_new_tokens - 1;
  if (spec.beam_width > 1) {
    const int64_t blocks = kv_.peak_blocks_of_forks(length, prompt, spec.beam_width);
    if (blocks <= kv_.config().max_blocks) return {};
    return invalid_input("{} prompt tokens and {} new tokens of {} beams {}", prompt,
                         spec.max_new_tokens, spec.beam_width, shortage(blocks, kv_.config()));
  }
  const int64_t blocks = kv_.peak_blocks(length, 1);
  if (blocks > kv_.config().max_blocks) {
    return invalid_input("{} prompt tokens and {} new tokens {}", prompt, spec.max_new_tokens,
                         shortage(blocks, kv_.config()));
  }
  return {};
}

int32_t Scheduler::max_beam_width() const {
  return std::min(limits_.max_beam_width, limits_.max_running_sequences);
}

Result<RequestId> Scheduler::submit(RequestSpec spec) {
  OCTAVO_TRY(check(spec));
  if (queued_requests_ >= limits_.max_queued_requests) {
    return resource_error("{} requests are queued, no more than {} may be", queued_requests_,
                          limits_.max_queued_requests);
  }
  Sequence& s = create(next_request_++);
  s.priority_ = spec.priority;
  s.prompt_length_ = static_cast<int32_t>(spec.prompt.size());
  s.max_new_tokens_ = spec.max_new_tokens;
  s.unforked_ = spec.outputs - 1;
  s.tokens_ = std::move(spec.prompt);
  // Without the prefix cache a request meets nobody but itself, when it was preempted.
  s.extra_key_ = std::make_shared<const std::string>(
      kv_.config().prefix_cache ? std::move(spec.extra_key) : std::to_string(s.request_));
  s.retention_ = spec.retention;
  if (spec.beam_width > 0) {
    s.gang_ = &gangs_[s.request_];
    s.gang_->width = spec.beam_width;
    s.gang_->members = {&s};
  }
  ++queued_requests_;
  enqueue(s);
  return s.request_;
}

Sequence& Scheduler::create(RequestId request) {
  if (unused_ids_.empty()) {
    unused_ids_.push_back(static_cast<SequenceId>(sequences_.size()));
    sequences_.push_back(std::make_unique<Sequence>());
  }
  Sequence& s = *sequences_[static_cast<size_t>(unused_ids_.back())];
  s.id_ = unused_ids_.back();
  unused_ids_.pop_back();
  s.request_ = request;
  requests_[request].sequences.push_back(s.id_);
  return s;
}

void Scheduler::destroy_if_unused(Sequence& s) {
  if (!s.over() || s.in_flight_ > 0) return;
  unused_ids_.push_back(s.id_);
  s = Sequence{};
}

void Scheduler::cancel(RequestId request) {
  const auto found = requests_.find(request);
  if (found == requests_.end()) return;
  const std::vector<SequenceId> live = found->second.sequences;
  for (const SequenceId id : live) finish(*sequences_[static_cast<size_t>(id)]);
}

void Scheduler::finish(Sequence& s) {
  switch (s.state_) {
    case Sequence::State::waiting:
      waiting_.erase({s.rank(), &s});
      break;
    case Sequence::State::running:
      running_.erase(std::ranges::lower_bound(running_, s.rank(), {}, &Sequence::rank));
      leave_running(s, Afterlife::offloaded);
      break;
    case Sequence::State::gathering:
      break;
    case Sequence::State::over:
      OCTAVO_CHECK(false, "sequence {} finishes twice", s.id_);
  }
  if (!s.was_admitted_) --queued_requests_;
  s.state_ = Sequence::State::over;
  if (s.gang_ != nullptr) leave_gang(s);
  const auto request = requests_.find(s.request_);
  std::erase(request->second.sequences, s.id_);
  if (request->second.sequences.empty()) {
    requests_.erase(request);
    // Not before: an output that was preempted comes back to what it shares with the others.
    if (!kv_.config().prefix_cache) kv_.forget_key(*s.extra_key_);
  }
  destroy_if_unused(s);
}

void Scheduler::enqueue(Sequence& s) {
  s.state_ = Sequence::State::waiting;
  waiting_.insert({s.rank(), &s});
}

void Scheduler::begin_running(Sequence& s) {
  s.state_ = Sequence::State::running;
  if (requests_.at(s.request_).running++ == 0) ++running_requests_;
}

// The sequence gives back what running took; the caller removes it from running_.
void Scheduler::leave_running(Sequence& s, Afterlife afterlife) {
  const auto known = static_cast<int32_t>(s.tokens_.size());
  kv_.index_tail(s.blocks_, s.tokens_, std::min(s.computed_, known));
  kv_.release(s.blocks_, afterlife);
  if (--requests_.at(s.request_).running == 0) --running_requests_;
  promised_blocks_ -= std::exchange(s.promised_blocks_, 0);
  if (s.gang_ == nullptr) reserved_sequences_ -= places(s);
  s.computed_ = 0;
}

// Another sequence with the tokens and blocks of this one.
Sequence& Scheduler::fork_off(Sequence& parent, int32_t output_index) {
  Sequence& s = create(parent.request_);
  s.output_index_ = output_index;
  s.priority_ = parent.priority_;
  s.prompt_length_ = parent.prompt_length_;
  s.max_new_tokens_ = parent.max_new_tokens_;
  begin_running(s);
  s.was_admitted_ = true;
  s.tokens_ = parent.tokens_;
  s.extra_key_ = parent.extra_key_;
  s.retention_ = parent.retention_;
  s.computed_ = parent.computed_;
  kv_.fork(parent.blocks_, s.blocks_);
  return s;
}

// ---- plan

const Plan& Scheduler::plan(int32_t token_budget) {
  OCTAVO_CHECK(token_budget >= 1 && uncommitted_ < static_cast<int32_t>(plans_.size()));
  Plan& plan = plans_[next_step_ % plans_.size()];
  plan.step = next_step_;
  plan.token_count = 0;
  plan.items.clear();
  plan.samples.clear();
  budget_left_ = token_budget;
  dry_ = false;

  plan_running(plan);
  if (!dry_) admit_waiting(plan);
  for (Sequence* s : joining_) {
    running_.insert(std::ranges::upper_bound(running_, s->rank(), {}, &Sequence::rank), s);
  }
  joining_.clear();
  if (plan.empty()) return plan;

  plan.token_count = token_budget - budget_left_;
  kv_.drain_moves(plan.moves);
  kv_.begin_step();
  ++uncommitted_;
  ++next_step_;
  return plan;
}

std::optional<RequestId> Scheduler::starving() const {
  if (!dry_ || !kv_.is_short() || uncommitted_ > 0) return std::nullopt;
  return (running_.empty() ? waiting_.begin()->sequence : running_.front())->request_;
}

void Scheduler::plan_running(Plan& plan) {
  // The list shrinks from its end when a sequence is preempted.
  for (size_t i = 0; i < running_.size() && budget_left_ > 0; ++i) {
    Sequence& s = *running_[i];
    look_ahead(i);
    if (s.gang_ == nullptr) {
      serve(plan, s, s.remaining(), i == 0);
    } else if (s.gang_->members.front() == &s) {
      plan_gang(plan, *s.gang_, i == 0);
    }
  }
}

// Asks for the memory that the sequences after the one at `served` need.
void Scheduler::look_ahead(size_t served) const {
  if (served + kSequencesAhead < running_.size()) running_[served + kSequencesAhead]->prefetch();
  if (served + kContentsAhead < running_.size()) {
    const Sequence& s = *running_[served + kContentsAhead];
    kv_.prefetch(s.blocks_, s.tokens_, s.computed_);
  }
}

// Computes up to `wanted` tokens of a running sequence, as far as budget and blocks go.
void Scheduler::serve(Plan& plan, Sequence& s, int32_t wanted, bool first) {
  // Chunks of prompts leave room for everybody's next token; only the first in the order of service
  // always gets on.
  int32_t room = budget_left_;
  if (wanted > 1) room = std::max(room - next_tokens_after(s), first ? 1 : 0);
  const int32_t secured = secure_blocks(s, std::min({wanted, room, budget_left_}));
  if (secured > 0) add_item(plan, s, secured);
}

// How many sequences after this one, or after its gang, in the order of service need one token.
int32_t Scheduler::next_tokens_after(const Sequence& s) const {
  const auto is_served = [&s](const Sequence* other) {
    return other == &s || (s.gang_ != nullptr && other->gang_ == s.gang_);
  };
  const auto served = std::find_if(running_.rbegin(), running_.rend(), is_served);
  return static_cast<int32_t>(std::count_if(
      running_.rbegin(), served, [](const Sequence* other) { return other->remaining() == 1; }));
}

// How many of the next `count` tokens of a running sequence get blocks, preempting others for them.
int32_t Scheduler::secure_blocks(Sequence& s, int32_t count) {
  if (count <= 0) return 0;
  // A truncation at commit can make the last committed token the next one to compute.
  const int32_t earliest = std::min(s.computed_, static_cast<int32_t>(s.tokens_.size()) - 1);
  kv_.drop_outside_window(s.blocks_, earliest);
  const int32_t needed = kv_.blocks_to_take(s.blocks_, s.computed_, count);
  return secure(s, needed) ? count : affordable(s, count);
}

// Whether so many blocks are there for a running sequence, others having been preempted for them.
bool Scheduler::secure(const Sequence& s, int32_t blocks) {
  while (!kv_.secure(blocks)) {
    dry_ = true;
    // Blocks held by a step in flight come free at its commit: enough of them, and waiting is
    // better than preempting more.
    if (blocks <= kv_.available() + kv_.counts().held || !may_preempt_for(s)) return false;
    preempt_last();
  }
  return true;
}

// The most of the next `count` tokens whose blocks are there.
int32_t Scheduler::affordable(const Sequence& s, int32_t count) {
  int32_t low = 0;  // affordable; high + 1 is not, or is more than was asked for
  for (int32_t high = count; low < high;) {
    const int32_t middle = low + (high - low + 1) / 2;
    if (kv_.secure(kv_.blocks_to_take(s.blocks_, s.computed_, middle))) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// A sequence preempts those after it in the order of service; of a gang, the step in flight decides
// first who its members are.
bool Scheduler::may_preempt_for(const Sequence& s) const {
  const Sequence& last = *running_.back();
  if (last.gang_ == nullptr) return &last != &s;
  return last.gang_ != s.gang_ && !last.gang_->awaits_choice();
}

void Scheduler::preempt_last() {
  Sequence& s = *running_.back();
  if (s.gang_ != nullptr) return preempt_gang(*s.gang_);
  running_.pop_back();
  const bool swap = kv_.config().host_blocks > 0 && swap_is_cheaper(s);
  leave_running(s, swap ? Afterlife::offloaded : Afterlife::cached);
  enqueue(s);
  ++counters_.preemptions;
  if (swap) ++counters_.swap_preemptions;
}

bool Scheduler::swap_is_cheaper(const Sequence& s) const {
  const SwapCosts& costs = limits_.costs;
  return 2 * costs.block * kv_.held_blocks(s.blocks_) < costs.token * s.computed_;
}

void Scheduler::add_item(Plan& plan, Sequence& s, int32_t count) {
  const auto known = static_cast<int32_t>(s.tokens_.size());
  const bool from_previous = s.computed_ >= known;
  OCTAVO_CHECK(!from_previous || (count == 1 && s.uncommitted_samples_ == 1));
  if (s.promised_blocks_ > 0) {
    const int32_t kept =
        std::min(kv_.blocks_to_take(s.blocks_, s.computed_, count), s.promised_blocks_);
    s.promised_blocks_ -= kept;
    promised_blocks_ -= kept;
  }
  kv_.make_writable(s.blocks_, s.computed_, count);

  PlanItem item{.sequence = s.id_,
                .first_position = s.computed_,
                .q_len = count,
                .previous_row = from_previous ? s.last_row_ : -1,
                .first_sample = static_cast<int32_t>(plan.samples.size())};
  s.computed_ += count;
  budget_left_ -= count;
  ++s.in_flight_;
  kv_.index_blocks(s.blocks_, s.tokens_, std::min(s.computed_, known));
  if (s.computed_ == s.expected_length()) {
    promised_blocks_ -= std::exchange(s.promised_blocks_, 0);
    add_sample(plan, s);
    if (s.unforked_ > 0) fork_outputs(plan, s);
  }
  if (s.gang_ != nullptr && s.computed_ == s.gang_->gathers_at) gather(*s.gang_);
  item.sample_count = static_cast<int32_t>(plan.samples.size()) - item.first_sample;
  plan.items.push_back(item);
}

void Scheduler::add_sample(Plan& plan, Sequence& s) {
  s.last_row_ = static_cast<int32_t>(plan.samples.size());
  ++s.uncommitted_samples_;
  ++s.in_flight_;
  plan.samples.push_back(s.id_);
}

// The prompt is complete: the other outputs start from the same blocks and the same logits.
void Scheduler::fork_outputs(Plan& plan, Sequence& leader) {
  const int32_t others = std::exchange(leader.unforked_, 0);
  for (int32_t i = 1; i <= others; ++i) {
    Sequence& s = fork_off(leader, i);
    joining_.push_back(&s);
    add_sample(plan, s);
  }
}

void Scheduler::admit_waiting(Plan& plan) {
  while (!waiting_.empty() && budget_left_ > 0 && !dry_) {
    Sequence& s = *waiting_.begin()->sequence;
    // One that was preempted a moment ago may still get a token from the step in flight.
    if (s.uncommitted_samples_ > 0) return;
    if (reserved_sequences_ + places(s) > limits_.max_running_sequences) return;
    const auto goal = static_cast<size_t>(s.goal());
    PrefixMatch match = kv_.match(std::span(s.tokens_).first(goal), *s.extra_key_);
    // What is adopted needs a plan that computes at least one token after it. In a small pool the
    // source of a copy beside the copy may be one block too many.
    const auto groups = static_cast<int32_t>(kv_.config().groups.size());
    if (match.partial_tokens > 0 && match.needed() > kv_.available()) match.drop_partial();
    const int32_t next_block = match.partial_tokens > 0 ? 0 : groups;
    dry_ = match.needed() + next_block > kv_.available();
    if (dry_ || !has_room(s, match)) return;
    // Refused memory is not available any more: another look at what can be had.
    if (kv_.secure(match, next_block)) admit(plan, s, match);
  }
}

// How many sequences can come of one that waits.
int32_t Scheduler::places(const Sequence& s) const {
  return s.gang_ != nullptr ? s.gang_->width : 1 + s.unforked_;
}

// The blocks that a sequence will take until its prompt is computed.
int64_t Scheduler::prompt_blocks(const Sequence& s, const PrefixMatch& match) const {
  const int64_t length = s.goal();
  const int64_t peak = kv_.peak_blocks(length, std::min<int64_t>(length, budget_left_));
  return std::max<int64_t>(0, peak - match.physical_blocks);
}

// The blocks that running sequences should find free to grow into when another is admitted. One for
// each would do for many steps. But what they take before one of their requests ends and gives back
// what it has, on which it depends whether one must be preempted, grows with what a request holds
// and not with how many there are: so it is no more than some of them hold on average.
int64_t Scheduler::growth_blocks() const {
  const int64_t one_each = int64_t{reserved_sequences_} * std::ssize(kv_.config().groups);
  const int64_t of_requests = kGrowthRequests * kv_.counts().in_use;
  return std::min(one_each, of_requests / std::max(running_requests_, 1));
}

// Whether the whole prompt fits beside what the running sequences were promised and what they grow
// into: admitting more would only lead to preemption.
bool Scheduler::has_room(const Sequence& s, const PrefixMatch& match) const {
  if (reserved_sequences_ == 0) return true;  // all there is, is its own
  const int64_t groups = std::ssize(kv_.config().groups);
  int64_t needed = prompt_blocks(s, match) + match.full.idle + match.tail.idle;
  needed += (places(s) - 1) * groups;  // where the other outputs go on
  if (s.gang_ != nullptr && s.gang_->gathers()) {
    // The members' own blocks after what they have in common.
    const auto own = std::ssize(s.tokens_) / kv_.config().block_size -
                     s.gang_->gathers_at / kv_.config().block_size;
    needed += own * std::ssize(s.gang_->members) * groups;
  }
  return needed + promised_blocks_ + growth_blocks() <= kv_.available();
}

void Scheduler::admit(Plan& plan, Sequence& s, const PrefixMatch& match) {
  waiting_.erase(waiting_.begin());
  if (!s.was_admitted_) --queued_requests_;
  s.was_admitted_ = true;
  begin_running(s);
  const int64_t untaken = prompt_blocks(s, match) - match.full.taken - match.tail.taken;
  s.promised_blocks_ = static_cast<int32_t>(std::max<int64_t>(0, untaken));
  promised_blocks_ += s.promised_blocks_;
  reserved_sequences_ += places(s);
  if (s.gang_ != nullptr) s.gang_->running = true;
  joining_.push_back(&s);

  s.blocks_.retention = s.retention_;
  kv_.adopt(s.blocks_, match, *s.extra_key_);
  s.computed_ = match.blocks * kv_.config().block_size + match.partial_tokens;
  counters_.prefix_query_tokens += s.goal();
  counters_.prefix_hit_tokens += s.computed_;
  const int32_t wanted = std::min(s.remaining(), budget_left_);
  const int32_t count = affordable(s, wanted);
  OCTAVO_CHECK(count > 0, "sequence {} is admitted and gets no block", s.id_);
  dry_ = count < wanted;
  add_item(plan, s, count);
}

// ---- commit

void Scheduler::commit(const Plan& plan, std::span<const SampleResult> results) {
  OCTAVO_CHECK(uncommitted_ > 0 && plan.step == next_step_ - static_cast<uint64_t>(uncommitted_),
               "plan {} is not the oldest uncommitted one", plan.step);
  OCTAVO_CHECK(results.size() == plan.samples.size());
  kv_.end_step();
  --uncommitted_;
  const auto sequence_of = [this, &plan](size_t item) -> Sequence& {
    return *sequences_[static_cast<size_t>(plan.items[item].sequence)];
  };
  for (size_t at = 0; at < plan.items.size(); ++at) {
    if (at + kSequencesAhead < plan.items.size()) sequence_of(at + kSequencesAhead).prefetch();
    if (at + kContentsAhead < plan.items.size()) sequence_of(at + kContentsAhead).prefetch_end();
    const PlanItem& item = plan.items[at];
    for (int32_t i = 0; i < item.sample_count; ++i) {
      const auto row = static_cast<size_t>(item.first_sample) + static_cast<size_t>(i);
      Sequence& s = *sequences_[static_cast<size_t>(plan.samples[row])];
      accept(s, item, results[row], plan.step);
      --s.in_flight_;
      destroy_if_unused(s);
    }
    Sequence& s = sequence_of(at);
    --s.in_flight_;
    destroy_if_unused(s);
  }
}

void Scheduler::accept(Sequence& s, const PlanItem& item, const SampleResult& result,
                       uint64_t step) {
  if (!s.wants_results_of(step)) return;
  if (s.gang_ != nullptr) return branch(s, result.branches);
  OCTAVO_CHECK(std::ssize(result.accepted) <= item.q_len, "{} tokens accepted from {} rows",
               result.accepted.size(), item.q_len);
  OCTAVO_CHECK(s.generated_length() + std::ssize(result.accepted) <= s.max_new_tokens_);
  --s.uncommitted_samples_;
  for (const TokenId token : result.accepted) s.tokens_.push_back(token);
  const auto known = static_cast<int32_t>(s.tokens_.size());
  if (result.accepted.size() != 1) {
    // A later step that was planned already took this sample for the next token: it is void. The
    // logits of the last token are needed again.
    s.uncommitted_samples_ = 0;
    s.wanted_from_step_ = next_step_;
    s.computed_ = std::min(s.computed_, known - 1);
    kv_.unindex_after(s.blocks_, s.computed_);
  }
  kv_.index_blocks(s.blocks_, s.tokens_, std::min(s.computed_, known));
  if (result.finished || s.generated_length() == s.max_new_tokens_) finish(s);
}

std::vector<ExtentId> Scheduler::release_idle() {
  OCTAVO_CHECK(uncommitted_ == 0, "{} plans are uncommitted", uncommitted_);
  return kv_.release_idle();
}

SchedulerCounters Scheduler::counters() const {
  SchedulerCounters counters = counters_;
  counters.evictions = kv_.evictions();
  counters.copies = kv_.copies();
  counters.swapped_out = kv_.swapped_out();
  counters.swapped_in = kv_.swapped_in();
  return counters;
}

}  // namespace octavo
