// Scheduler::check_integrity(): what must hold between any two calls.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sched/scheduler.h"

namespace octavo {

std::optional<std::string> Scheduler::check_sequence(const Sequence& s) const {
  using State = Sequence::State;
  if (s.state_ != State::running) {
    if (!s.blocks_.tables.empty() || s.computed_ != 0 || s.promised_blocks_ != 0) {
      return fmt::format("sequence {} does not run and owns something", s.id_);
    }
  }
  switch (s.state_) {
    case State::waiting:
      if (!waiting_.contains({s.rank(), nullptr})) {
        return fmt::format("sequence {} waits outside the queue", s.id_);
      }
      break;
    case State::gathering:
      if (s.gang_ == nullptr || !s.gang_->gathers() || s.gang_->members.front() == &s) {
        return fmt::format("sequence {} waits for nobody", s.id_);
      }
      break;
    case State::running: {
      if (!std::ranges::binary_search(running_, s.rank(), {}, &Sequence::rank)) {
        return fmt::format("sequence {} runs outside the list", s.id_);
      }
      const int64_t covered =
          std::ssize(s.blocks_.tables.front().blocks) * int64_t{kv_.config().block_size};
      if (s.computed_ > covered || s.computed_ > s.expected_length()) {
        return fmt::format("sequence {} computed {} tokens of {} in {} slots", s.id_, s.computed_,
                           s.expected_length(), covered);
      }
      if (s.blocks_.indexed * kv_.config().block_size > s.computed_) {
        return fmt::format("sequence {} indexed what it has not computed", s.id_);
      }
      if (auto breach = kv_.check_shortcuts(s.blocks_, s.computed_)) return breach;
      break;
    }
    case State::over:
      if (s.in_flight_ == 0) return fmt::format("sequence {} is kept for nothing", s.id_);
      break;
  }
  return std::nullopt;
}

std::optional<std::string> Scheduler::check_gang(const Gang& gang) const {
  if (gang.members.empty() || std::ssize(gang.members) > gang.width) {
    return fmt::format("{} beams live of {}", gang.members.size(), gang.width);
  }
  if (!std::ranges::is_sorted(gang.members, {}, &Sequence::rank)) return "beams are out of order";
  const Sequence& first = *gang.members.front();
  const auto served = static_cast<size_t>(std::ranges::count(
      gang.members, Sequence::State::running, [](const Sequence* s) { return s->state_; }));
  if (served != (!gang.running ? 0 : gang.gathers() ? 1 : gang.members.size())) {
    return fmt::format("{} of the beams of request {} run", served, first.request_);
  }
  for (const Sequence* s : gang.members) {
    if (s->gang_ != &gang || s->request_ != first.request_) return "a beam is of another gang";
    if (s->tokens_.size() != first.tokens_.size() ||
        s->uncommitted_samples_ != first.uncommitted_samples_) {
      return fmt::format("the beams of request {} are not in step", first.request_);
    }
  }
  return std::nullopt;
}

std::optional<std::string> Scheduler::check_integrity() const {
  using State = Sequence::State;
  std::vector<const SequenceBlocks*> live;
  int64_t promised = 0;
  int32_t reserved = 0;
  int32_t queued = 0;
  size_t in_queue = 0;
  size_t running = 0;
  std::set<RequestId> running_requests;
  size_t unused = 0;
  for (const auto& sequence : sequences_) {
    const Sequence& s = *sequence;
    if (s.id_ == -1) {
      ++unused;
      continue;
    }
    if (auto breach = check_sequence(s)) return breach;
    live.push_back(&s.blocks_);
    promised += s.promised_blocks_;
    if (s.state_ == State::running) {
      ++running;
      running_requests.insert(s.request_);
      if (s.gang_ == nullptr) reserved += places(s);
    }
    if (s.state_ == State::waiting) ++in_queue;
    if (s.state_ != State::over && !s.was_admitted_) ++queued;
  }
  for (const auto& entry : gangs_) {
    if (auto breach = check_gang(entry.second)) return breach;
    if (entry.second.running) reserved += entry.second.width;
  }
  if (unused != unused_ids_.size() || running != running_.size() || in_queue != waiting_.size() ||
      std::ssize(running_requests) != running_requests_ || promised != promised_blocks_ ||
      reserved != reserved_sequences_ || queued != queued_requests_) {
    return "the sequences are miscounted";
  }
  if (!std::ranges::is_sorted(running_, {}, &Sequence::rank)) return "running is out of order";
  if (reserved > limits_.max_running_sequences || queued > limits_.max_queued_requests) {
    return fmt::format("{} sequences run and {} requests are queued, above the limits", reserved,
                       queued);
  }
  return kv_.check_integrity(live);
}

}  // namespace octavo
