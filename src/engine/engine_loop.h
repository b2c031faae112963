// EngineLoop: the thread that plans, computes, samples and commits, step after step.
//
// Where the backend computes while the host goes on, the loop runs ahead: it plans and launches a
// step before it waits for the tokens of the one before, so that the device need not wait for it.
//
// Owns the scheduler and the state of every running request; touched by its own thread only, except
// for the Mailbox and the statistics. Takes the model by reference: the engine owns both.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/beam_search.h"
#include "engine/cache_tiers.h"
#include "engine/loaded_model.h"
#include "engine/request_channel.h"
#include "sched/scheduler.h"

namespace octavo {

class EngineLoop {
 public:
  EngineLoop(LoadedModel& model, const EngineConfig& config, std::shared_ptr<Mailbox> mailbox);
  ~EngineLoop();  // stops the thread; what runs is cancelled

  // The request can be served by a pool of this size; an error with the numbers otherwise.
  Result<void> check_fits(const RequestSpec& spec) const { return scheduler_.check(spec); }
  EngineStats stats() const;

 private:
  // A beam search, and what has come of its step: its beams are adjacent in the plan.
  struct BeamStep {
    explicit BeamStep(const OutputRules& rules) : search(rules) {}

    BeamSearch search;
    int32_t arrived = 0;  // live beams
    // By live beam.
    std::vector<std::vector<TokenLogprob>> tops;
    std::vector<size_t> samples;                // its place in the plan's samples
    std::vector<std::vector<Branch>> branches;  // until they are committed
  };
  struct Active {
    Submission submission;
    std::vector<Output> outputs;
    int32_t unfinished = 0;              // outputs
    bool started = false;                // some of its prompt was planned
    std::optional<PromptReport> report;  // until an event has taken it
    std::optional<BeamStep> beams;
    // Of a scored or embedded prompt: dealt with, not to be again after a preemption.
    int32_t read_positions = 0;
    // Of an embedding: the hidden states so far, added in order of position, so that no bit depends
    // on how the prompt is cut into chunks.
    std::vector<double> state_sum;
  };

  void run();
  bool take_mail();  // false when the engine is to stop
  void receive(Submission submission);
  void start(Submission submission);
  void cancel(uint64_t key);
  void end(RequestId id, FinishReason reason);

  // A step that was launched, until its plan is committed.
  struct Flight {
    const Plan* plan = nullptr;
    BatchBuilder batch;
    std::vector<SampleRow> rows;             // what is sampled, item by item
    std::deque<std::vector<int32_t>> texts;  // of rows whose last token is still to come
    std::vector<size_t> first_rows;          // [items] of `rows`
    std::vector<int32_t> sampling_rows;      // [samples of the plan] their rows; -1: it has none
    std::vector<float> hidden_states;
    // Nothing is planned before it: its tokens should not wait for the next step's launch, or the
    // next step for them.
    bool lands_at_once = false;
  };

  void step();
  void launch(const Plan& plan);
  void land();  // the oldest step
  void land_all();
  void end_starving();
  Flight& flight_of(uint64_t step) { return flights_[step % flights_.size()]; }
  void note_started(const Plan& plan);
  void make_sample_rows(Flight& flight, std::span<const int32_t> previous_rows);
  SampleRow sample_row(const Active& active, const Sequence& sequence) const;
  void deliver(const Flight& flight);
  void send(Active& active, Event event);
  struct Positions {
    int32_t first = 0;
    int32_t end = 0;
  };
  BatchBuilder::Wanted wanted_of(const Sequence& sequence) const;
  Positions positions_to_read(const Active& active, const PlanItem& item) const;
  void deliver_scores(Active& active, const PlanItem& item, size_t first_row);
  void deliver_embedding(Active& active, const PlanItem& item, std::span<const float> states,
                         int32_t last_row);
  SampleResult deliver_token(Active& active, const Sequence& sequence, const SampledToken& sampled);
  void deliver_beam(Active& active, const Sequence& sequence, size_t sample, SampledToken& sampled);
  void deliver_hypotheses(Active& active);
  void forget_finished();
  void wait_for_mail();
  struct BlockRange {
    int64_t first = 0;
    int64_t count = 0;
  };
  BlockRange extent_blocks(ExtentId extent) const;
  bool take_memory(ExtentId extent);
  bool give_back_idle_memory();  // false: mail came first
  void end_everything();
  void count_computed(const Plan& plan);
  void publish_stats();

  LoadedModel& model_;
  const EngineConfig config_;
  std::shared_ptr<Mailbox> mailbox_;
  Scheduler scheduler_;
  CacheTiers tiers_;
  std::unordered_map<RequestId, Active> active_;
  std::unordered_map<uint64_t, RequestId> requests_by_key_;
  // By key: requests whose prefix is on its way from the disk. The scheduler does not know them
  // yet.
  std::unordered_map<uint64_t, Submission> fetching_;

  std::array<Flight, 2> flights_;  // that of step s is flights_[s % 2]
  uint64_t last_launched_ = 0;     // step

  // Of the step that lands: what was drawn, and what the scheduler is told about it.
  std::vector<SampledToken> sampled_;
  std::vector<SampleResult> results_;
  std::vector<RequestId> finished_;

  std::chrono::steady_clock::time_point idle_since_;  // the last step's end
  bool memory_given_back_ = false;                    // since then
  bool memory_is_short_ = false;                      // as the last extent was asked for

  mutable std::mutex stats_mutex_;
  EngineStats stats_;
  std::thread thread_;  // last: it uses everything above
};

}  // namespace octavo
