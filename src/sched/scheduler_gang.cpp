// The Scheduler's parts for gangs, the beams of one request (gang.h).
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sched/gang.h"
#include "sched/scheduler.h"

namespace octavo {

bool Gang::awaits_choice() const {
  return std::ranges::any_of(members, [](const Sequence* s) { return s->awaits_result(); });
}

int32_t Gang::common_length() const {
  const std::span<const TokenId> first = members.front()->tokens();
  size_t common = first.size() - 1;
  for (const Sequence* s : members) {
    const auto differs = std::ranges::mismatch(first.first(common), s->tokens());
    common = static_cast<size_t>(differs.in1 - first.begin());
  }
  return static_cast<int32_t>(common);
}

int32_t Gang::free_index() const {
  int32_t index = 0;
  for (const Sequence* s : members) {  // in ascending order of their indexes
    if (s->output_index() == index) ++index;
  }
  return index;
}

int32_t Sequence::goal_in_gang() const {
  return gang_->gathers() ? gang_->gathers_at : expected_length();
}

// Serves the gang whose first member's turn it is.
void Scheduler::plan_gang(Plan& plan, const Gang& gang, bool first) {
  if (gang.awaits_choice()) return;
  if (gang.gathers() || gang.members.size() == 1) {
    Sequence& s = *gang.members.front();
    return serve(plan, s, s.remaining(), first);
  }
  bool together = true;
  for (Sequence* s : gang.members) {
    const int32_t before_last = s->remaining() - 1;
    together = together && before_last == 0;
    serve(plan, *s, before_last, first);
  }
  if (!together) return;
  const auto count = static_cast<int32_t>(gang.members.size());
  OCTAVO_CHECK(count <= gang.width, "{} beams live, {} may", count, gang.width);
  OCTAVO_CHECK(!first || count <= budget_left_, "{} beams do not fit into a step of {} tokens",
               count, budget_left_);
  if (count > budget_left_ || !secure_last_tokens(gang)) return;
  for (Sequence* s : gang.members) add_item(plan, *s, 1);
}

// Blocks for the last token of every member, preempting others for them.
bool Scheduler::secure_last_tokens(const Gang& gang) {
  std::vector<const SequenceBlocks*> blocks;
  for (Sequence* s : gang.members) {
    kv_.drop_outside_window(s->blocks_, s->computed_);
    blocks.push_back(&s->blocks_);
  }
  Sequence& leader = *gang.members.front();
  return secure(leader, kv_.blocks_to_take(blocks, leader.computed_));
}

// The gang is the last of the running ones: its members end the list.
void Scheduler::preempt_gang(Gang& gang) {
  const int32_t gathers_at = gang.members.size() > 1 ? gang.common_length() : 0;
  const size_t running = gang.gathers() ? 1 : gang.members.size();
  for (size_t i = running; i-- > 0;) {
    Sequence& s = *gang.members[i];
    leave_running(s, Afterlife::offloaded);
    s.state_ = Sequence::State::gathering;
    ++counters_.preemptions;
  }
  running_.resize(running_.size() - running);
  reserved_sequences_ -= gang.width;
  gang.running = false;
  gang.gathers_at = gathers_at;
  enqueue(*gang.members.front());
}

// The first member has computed what all have in common.
void Scheduler::gather(Gang& gang) {
  Sequence& leader = *gang.members.front();
  for (Sequence* s : gang.members) {
    if (s == &leader) continue;
    kv_.fork(leader.blocks_, s->blocks_);
    s->computed_ = leader.computed_;
    begin_running(*s);
    joining_.push_back(s);
  }
  gang.gathers_at = 0;
}

// A beam goes on as one sequence per branch; the first is itself, the others fork off it.
void Scheduler::branch(Sequence& s, std::span<const Branch> branches) {
  --s.uncommitted_samples_;
  if (branches.empty() || s.generated_length() + 1 == s.max_new_tokens_) return finish(s);
  Gang& gang = *s.gang_;
  for (const Branch& branch : branches.subspan(1)) {
    Sequence& child = fork_off(s, gang.free_index());
    child.gang_ = &gang;
    child.beam_ = branch.beam;
    child.tokens_.push_back(branch.token);
    const auto insert = [&child](std::vector<Sequence*>& list) {
      list.insert(std::ranges::upper_bound(list, child.rank(), {}, &Sequence::rank), &child);
    };
    insert(gang.members);
    insert(running_);
  }
  s.beam_ = branches.front().beam;
  s.tokens_.push_back(branches.front().token);
}

void Scheduler::leave_gang(Sequence& s) {
  Gang& gang = *std::exchange(s.gang_, nullptr);
  std::erase(gang.members, &s);
  if (!gang.members.empty()) return;
  if (gang.running) reserved_sequences_ -= gang.width;
  gangs_.erase(s.request_);
}

}  // namespace octavo
