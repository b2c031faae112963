// RequestChannel: the events of one request on their way from the engine thread to its reader; and
// Mailbox: what callers want of the engine thread.
//
// Both are shared (shared_ptr) between the engine and the request's Stream, whichever goes first.
// Thread safety: all methods may be called from any thread. Neither side waits for the other beyond
// a short lock: a reader that is slow or gone costs the engine nothing, because the events of an
// output that were not read yet are joined into one, which is bounded by the output's length.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/output.h"
#include "kv/group.h"
#include "octavo/engine.h"

namespace octavo {

class RequestChannel {
 public:
  explicit RequestChannel(int32_t outputs) : unfinished_(outputs) {}

  void push(Event event);
  // Ends every output that has not ended.
  void end(int32_t outputs, FinishReason reason);
  std::optional<Event> next();  // waits
  std::optional<Event> try_next();
  bool finished() const;
  // Called under the channel's lock, so that there is no call any more when this returns.
  void on_event(std::function<void()> call);

 private:
  void push_locked(Event event);
  void announce();
  Event pop();

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Event> events_;    // at most one per output
  std::vector<bool> finished_;  // by output, grown as they finish
  int32_t unfinished_;          // outputs whose last event was not pushed
  std::function<void()> on_event_;
};

// How the extra key of a request begins that needs the output of every position: no two of them,
// and nothing else, may share a prefix.
inline constexpr const char* kOwnKey = "own ";

// A validated request on its way to the engine thread.
struct Submission {
  uint64_t key = 0;  // names the request between the engine and its stream
  std::vector<int32_t> prompt;
  int32_t outputs = 1;
  int32_t priority = 0;
  bool score_prompt = false;
  bool embed = false;
  std::string extra_key;  // requests share prefixes only when these are equal
  Retention retention;
  std::shared_ptr<const OutputRules> rules;
  std::shared_ptr<RequestChannel> channel;
  std::chrono::steady_clock::time_point submitted = std::chrono::steady_clock::now();
};

class Mailbox {
 public:
  struct Mail {
    std::vector<Submission> submissions;
    std::vector<uint64_t> cancellations;
    std::vector<std::promise<CacheSnapshot>> snapshots;  // to fulfil
    bool disk_answer = false;                            // the disk tier has one
    bool stop = false;
  };

  // False when `limit` requests wait already (in the mailbox and, as last reported, in the
  // scheduler) or when the engine went down.
  bool submit(Submission submission, int64_t limit);
  void cancel(uint64_t key);
  std::future<CacheSnapshot> ask_for_snapshot();
  void announce_disk_answer();
  void stop();

  Mail take();  // what arrived since the last call
  // How many requests the scheduler has not admitted, once the mail taken was dealt with.
  void report_waiting(int64_t requests);
  void wait();  // until there is mail
  // The same, but false at `deadline` when there is none.
  bool wait_until(std::chrono::steady_clock::time_point deadline);
  bool has_arrived() const;  // there is mail
  int64_t waiting() const;

 private:
  bool has_mail() const {
    return mail_.stop || mail_.disk_answer || !mail_.submissions.empty() ||
           !mail_.cancellations.empty() || !mail_.snapshots.empty();
  }

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  Mail mail_;
  int64_t waiting_in_scheduler_ = 0;
};

// A caller's end of a request.
class RequestStream final : public Stream {
 public:
  RequestStream(uint64_t key, std::shared_ptr<RequestChannel> channel,
                std::shared_ptr<Mailbox> mailbox)
      : key_(key), channel_(std::move(channel)), mailbox_(std::move(mailbox)) {}
  ~RequestStream() override {
    channel_->on_event(nullptr);
    RequestStream::cancel();
  }

  std::optional<Event> next() override { return channel_->next(); }
  std::optional<Event> try_next() override { return channel_->try_next(); }
  bool finished() const override { return channel_->finished(); }
  void on_event(std::function<void()> call) override { channel_->on_event(std::move(call)); }
  void cancel() override {
    if (!cancelled_.exchange(true)) mailbox_->cancel(key_);
  }

 private:
  uint64_t key_;
  std::atomic<bool> cancelled_{false};  // once is enough: the mailbox must not grow
  std::shared_ptr<RequestChannel> channel_;
  std::shared_ptr<Mailbox> mailbox_;
};

}  // namespace octavo
