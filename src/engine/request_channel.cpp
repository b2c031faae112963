#include "engine/request_channel.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace octavo {

void RequestChannel::push_locked(Event event) {
  const auto output = static_cast<size_t>(event.output);
  if (finished_.size() <= output) finished_.resize(output + 1, false);
  if (finished_[output]) return;  // ended meanwhile
  if (event.finish != FinishReason::none) {
    finished_[output] = true;
    --unfinished_;
  }
  const auto unread = std::find_if(events_.begin(), events_.end(), [&event](const Event& other) {
    return other.output == event.output;
  });
  if (unread == events_.end()) {
    events_.push_back(std::move(event));
    return;
  }
  unread->text += event.text;
  unread->tokens.insert(unread->tokens.end(), std::make_move_iterator(event.tokens.begin()),
                        std::make_move_iterator(event.tokens.end()));
  unread->finish = event.finish;
  if (event.prompt) unread->prompt = event.prompt;
}

void RequestChannel::push(Event event) {
  const std::lock_guard lock(mutex_);
  const bool all_read = events_.empty();
  push_locked(std::move(event));
  if (all_read) announce();
}

void RequestChannel::end(int32_t outputs, FinishReason reason) {
  const std::lock_guard lock(mutex_);
  const bool all_read = events_.empty();
  for (int32_t output = 0; output < outputs; ++output) {
    push_locked({.output = output, .finish = reason});
  }
  if (all_read) announce();
}

void RequestChannel::announce() {
  arrived_.notify_one();
  if (on_event_ && !events_.empty()) on_event_();
}

Event RequestChannel::pop() {
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<Event> RequestChannel::next() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return !events_.empty() || unfinished_ == 0; });
  if (events_.empty()) return std::nullopt;
  return pop();
}

std::optional<Event> RequestChannel::try_next() {
  const std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  return pop();
}

bool RequestChannel::finished() const {
  const std::lock_guard lock(mutex_);
  return events_.empty() && unfinished_ == 0;
}

void RequestChannel::on_event(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  on_event_ = std::move(call);
  if (on_event_ && !events_.empty()) on_event_();
}

bool Mailbox::submit(Submission submission, int64_t limit) {
  {
    const std::lock_guard lock(mutex_);
    const auto waiting = waiting_in_scheduler_ + static_cast<int64_t>(mail_.submissions.size());
    if (mail_.stop || waiting >= limit) return false;
    mail_.submissions.push_back(std::move(submission));
  }
  arrived_.notify_one();
  return true;
}

void Mailbox::cancel(uint64_t key) {
  {
    const std::lock_guard lock(mutex_);
    if (mail_.stop) return;  // nobody reads it any more
    mail_.cancellations.push_back(key);
  }
  arrived_.notify_one();
}

std::future<CacheSnapshot> Mailbox::ask_for_snapshot() {
  std::future<CacheSnapshot> snapshot;
  {
    const std::lock_guard lock(mutex_);
    snapshot = mail_.snapshots.emplace_back().get_future();
  }
  arrived_.notify_one();
  return snapshot;
}

void Mailbox::announce_disk_answer() {
  {
    const std::lock_guard lock(mutex_);
    mail_.disk_answer = true;
  }
  arrived_.notify_one();
}

void Mailbox::stop() {
  {
    const std::lock_guard lock(mutex_);
    mail_.stop = true;
  }
  arrived_.notify_one();
}

Mailbox::Mail Mailbox::take() {
  const std::lock_guard lock(mutex_);
  const bool stop = mail_.stop;
  Mail mail = std::exchange(mail_, Mail{});
  mail_.stop = stop;
  waiting_in_scheduler_ += static_cast<int64_t>(mail.submissions.size());
  return mail;
}

void Mailbox::report_waiting(int64_t requests) {
  const std::lock_guard lock(mutex_);
  waiting_in_scheduler_ = requests;
}

void Mailbox::wait() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return has_mail(); });
}

bool Mailbox::wait_until(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return arrived_.wait_until(lock, deadline, [this] { return has_mail(); });
}

bool Mailbox::has_arrived() const {
  const std::lock_guard lock(mutex_);
  return has_mail();
}

int64_t Mailbox::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_in_scheduler_ + static_cast<int64_t>(mail_.submissions.size());
}

}  // namespace octavo
