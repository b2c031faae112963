#include "engine/engine_loop.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/check.h"

namespace octavo {
namespace {

SchedulerLimits limits_of(const LoadedModel& model, const EngineConfig& config) {
  SchedulerLimits limits;
  // One more than the context: the token that a scored prompt of full length samples is thrown
  // away.
  limits.context_length = model.info.context_length + 1;
  limits.max_running_sequences = static_cast<int32_t>(config.max_sequences);
  limits.max_beam_width =
      static_cast<int32_t>(std::min<int64_t>(limits.max_beam_width, config.batch_tokens));
  // The mailbox refuses what is too much before it comes here.
  limits.max_queued_requests = static_cast<int32_t>(config.max_queued) + 1;
  limits.costs = model.swap_costs;
  return limits;
}

int64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// What a stopping engine takes to bring its cache to the disk, at the most.
constexpr int64_t kMostSaveMs = 5000;

// Beside a step of more tokens, what the host does between two steps is nothing; but to launch the
// next one can take until the device has room for its operations, and tokens should not wait so
// long.
constexpr int32_t kMostTokensAhead = 512;

}  // namespace

EngineLoop::EngineLoop(LoadedModel& model, const EngineConfig& config,
                       std::shared_ptr<Mailbox> mailbox)
    : model_(model),
      config_(config),
      mailbox_(std::move(mailbox)),
      scheduler_(model.kv, limits_of(model, config),
                 [this](ExtentId extent) { return take_memory(extent); }),
      tiers_(model, config, [mailbox = mailbox_] { mailbox->announce_disk_answer(); }) {
  publish_stats();
  idle_since_ = std::chrono::steady_clock::now();
  thread_ = std::thread([this] { run(); });
}

EngineLoop::~EngineLoop() {
  mailbox_->stop();
  thread_.join();
}

void EngineLoop::run() {
  while (take_mail()) {
    publish_stats();
    if (scheduler_.has_work() || scheduler_.uncommitted_plans() > 0) {
      step();
      idle_since_ = std::chrono::steady_clock::now();
      memory_given_back_ = false;
    } else {
      wait_for_mail();
    }
  }
  end_everything();
}

// Mail that brings no work (somebody watches the cache) does not put the end of idle memory off.
void EngineLoop::wait_for_mail() {
  const auto deadline = idle_since_ + std::chrono::seconds(config_.kv_idle_seconds);
  if (config_.kv_idle_seconds == 0 || memory_given_back_) return mailbox_->wait();
  if (mailbox_->wait_until(deadline)) return;
  memory_given_back_ = give_back_idle_memory();
  publish_stats();
}

void EngineLoop::end_everything() {
  land_all();
  for (const auto& [id, active] : active_) {
    active.submission.channel->end(active.submission.outputs, FinishReason::cancelled);
  }
  for (const auto& [key, submission] : fetching_) {
    submission.channel->end(submission.outputs, FinishReason::cancelled);
  }
  const int64_t deadline_ms = now_ms() + kMostSaveMs;
  tiers_.save(scheduler_, [deadline_ms] { return now_ms() > deadline_ms; });
}

bool EngineLoop::take_mail() {
  Mailbox::Mail mail = mailbox_->take();
  for (Submission& submission : mail.submissions) receive(std::move(submission));
  for (const uint64_t key : mail.cancellations) cancel(key);
  if (mail.disk_answer) {
    const std::optional<uint64_t> key = tiers_.place_fetched(scheduler_);
    const auto ready = key ? fetching_.find(*key) : fetching_.end();  // or it was cancelled
    if (ready != fetching_.end()) start(std::move(fetching_.extract(ready).mapped()));
  }
  for (std::promise<CacheSnapshot>& snapshot : mail.snapshots) {
    snapshot.set_value(scheduler_.snapshot());
  }
  mailbox_->report_waiting(scheduler_.queued_requests() + static_cast<int64_t>(fetching_.size()));
  return !mail.stop;
}

void EngineLoop::receive(Submission submission) {
  if (!tiers_.fetch(submission, scheduler_)) return start(std::move(submission));
  const uint64_t key = submission.key;
  fetching_.emplace(key, std::move(submission));
}

void EngineLoop::start(Submission submission) {
  RequestSpec spec;
  spec.prompt = submission.prompt;
  spec.max_new_tokens = submission.rules->params.max_tokens;
  const std::optional<BeamParams>& beam = submission.rules->beam;
  spec.outputs = beam ? 1 : submission.outputs;
  spec.beam_width = beam ? beam->width : 0;
  spec.priority = submission.priority;
  spec.extra_key = submission.extra_key;
  spec.retention = submission.retention;
  const Result<RequestId> id = scheduler_.submit(std::move(spec));
  OCTAVO_CHECK(id.ok(), "a checked request was refused: {}", id.error().message);

  Active active;
  if (beam) active.beams.emplace(*submission.rules);
  for (int32_t i = 0; i < submission.outputs; ++i) {
    active.outputs.emplace_back(*model_.tokenizer, *submission.rules);
  }
  requests_by_key_[submission.key] = *id;
  active.unfinished = submission.outputs;
  active.submission = std::move(submission);
  active_.emplace(*id, std::move(active));
}

void EngineLoop::cancel(uint64_t key) {
  if (const auto fetching = fetching_.find(key); fetching != fetching_.end()) {
    fetching->second.channel->end(fetching->second.outputs, FinishReason::cancelled);
    fetching_.erase(fetching);
    return;
  }
  const auto found = requests_by_key_.find(key);
  if (found != requests_by_key_.end()) end(found->second, FinishReason::cancelled);
}

void EngineLoop::end(RequestId id, FinishReason reason) {
  scheduler_.cancel(id);
  const Submission& submission = active_.at(id).submission;
  submission.channel->end(submission.outputs, reason);
  requests_by_key_.erase(submission.key);
  active_.erase(id);
}

void EngineLoop::step() {
  scheduler_.set_time(now_ms());
  const Plan& plan = scheduler_.plan(static_cast<int32_t>(config_.batch_tokens));
  const bool launches = !plan.empty();
  if (!launches && scheduler_.uncommitted_plans() == 0) return end_starving();
  if (launches) launch(plan);
  const bool leaves_one = launches && model_.runs_ahead && !flight_of(plan.step).lands_at_once;
  while (scheduler_.uncommitted_plans() > (leaves_one ? 1 : 0)) land();
}

void EngineLoop::launch(const Plan& plan) {
  const bool follows = scheduler_.uncommitted_plans() > 1;
  const std::span<const int32_t> previous_rows =
      follows ? flight_of(plan.step - 1).sampling_rows : std::span<const int32_t>();
  Flight& flight = flight_of(plan.step);
  flight.plan = &plan;
  flight.lands_at_once = plan.token_count > kMostTokensAhead;
  last_launched_ = plan.step;
  const Batch& batch = flight.batch.build(
      plan, scheduler_, [this](const Sequence& sequence) { return wanted_of(sequence); },
      previous_rows);
  note_started(plan);
  Backend& backend = *model_.backend;
  backend.begin_step(batch);
  tiers_.perform(plan.moves);
  const StepOutput output = model_.model->forward(batch, *model_.kv_store);
  make_sample_rows(flight, previous_rows);
  backend.sample(output.logits, flight.rows, /*allowed=*/{});
  flight.hidden_states.resize(static_cast<size_t>(output.hidden_states.elements()));
  if (!flight.hidden_states.empty()) backend.read(output.hidden_states, flight.hidden_states);
  count_computed(plan);
}

void EngineLoop::land() {
  const auto uncommitted = static_cast<uint64_t>(scheduler_.uncommitted_plans());
  const Flight& flight = flight_of(last_launched_ + 1 - uncommitted);
  sampled_.assign(flight.rows.size(), {});
  model_.backend->collect(sampled_);
  deliver(flight);
  scheduler_.commit(*flight.plan, results_);
  forget_finished();
}

void EngineLoop::land_all() {
  while (scheduler_.uncommitted_plans() > 0) land();
}

// What comes first does not fit into the memory that others left, even alone.
void EngineLoop::end_starving() {
  const std::optional<RequestId> starving = scheduler_.starving();
  OCTAVO_CHECK(starving, "there is work and nothing to do");
  end(*starving, FinishReason::no_memory);
}

// The first item of a request begins where its prompt's known prefix ends.
void EngineLoop::note_started(const Plan& plan) {
  for (const PlanItem& item : plan.items) {
    Active& active = active_.at(scheduler_.sequence(item.sequence).request());
    if (active.started) continue;
    active.started = true;
    const std::chrono::duration<double> queued =
        std::chrono::steady_clock::now() - active.submission.submitted;
    active.report = {.cached_tokens = item.first_position, .queued_seconds = queued.count()};
  }
}

void EngineLoop::send(Active& active, Event event) {
  event.prompt = std::exchange(active.report, std::nullopt);
  active.submission.channel->push(std::move(event));
}

BatchBuilder::Wanted EngineLoop::wanted_of(const Sequence& sequence) const {
  const Submission& submission = active_.at(sequence.request()).submission;
  const bool is_mean = submission.embed && model_.info.pooling == Pooling::mean;
  return {.from_all_rows = submission.score_prompt || is_mean, .hidden_states = submission.embed};
}

// Of a scored prompt the item's positions that have a next token; of an embedding those that are
// pooled. None that was read before.
EngineLoop::Positions EngineLoop::positions_to_read(const Active& active,
                                                    const PlanItem& item) const {
  const int32_t last = scheduler_.sequence(item.sequence).prompt_length() - 1;
  int32_t first = std::max(item.first_position, active.read_positions);
  int32_t end = item.first_position + item.q_len;
  if (active.submission.score_prompt) {
    end = std::min(end, last);
  } else if (model_.info.pooling == Pooling::last) {
    first = std::max(first, last);
  }
  return {first, std::max(first, end)};
}

// A scored prompt has a row per position that has a next token, an embedding none; all else has a
// row per sample.
void EngineLoop::make_sample_rows(Flight& flight, std::span<const int32_t> previous_rows) {
  const Plan& plan = *flight.plan;
  flight.rows.clear();
  flight.texts.clear();
  flight.first_rows.clear();
  flight.sampling_rows.assign(plan.samples.size(), -1);
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    const Sequence& first = scheduler_.sequence(item.sequence);
    const Active& active = active_.at(first.request());
    const OutputRules& rules = *active.submission.rules;
    flight.first_rows.push_back(flight.rows.size());
    if (active.submission.embed) continue;
    if (active.submission.score_prompt) {
      const Positions positions = positions_to_read(active, item);
      const int32_t end = item.first_position + item.q_len;
      for (int32_t p = positions.first; p < positions.end; ++p) {
        flight.rows.push_back({.logits_row = flight.batch.last_output_row(i) - (end - 1 - p),
                               .params = &rules.params,
                               .forced = first.tokens()[static_cast<size_t>(p) + 1]});
      }
      continue;
    }
    for (int32_t k = 0; k < item.sample_count; ++k) {
      const auto sample = static_cast<size_t>(item.first_sample) + static_cast<size_t>(k);
      flight.sampling_rows[sample] = static_cast<int32_t>(flight.rows.size());
      SampleRow row = sample_row(active, scheduler_.sequence(plan.samples[sample]));
      row.logits_row = flight.batch.last_output_row(i);
      if (item.previous_row >= 0 && rules.params.has_penalties()) {
        std::vector<int32_t>& text =
            flight.texts.emplace_back(row.tokens.begin(), row.tokens.end());
        text.push_back(~previous_rows[static_cast<size_t>(item.previous_row)]);
        row.tokens = text;
      }
      flight.rows.push_back(row);
      // A search that waits for its choice is left out of the next plan.
      flight.lands_at_once = flight.lands_at_once || active.beams.has_value();
    }
  }
}

SampleRow EngineLoop::sample_row(const Active& active, const Sequence& sequence) const {
  const OutputRules& rules = *active.submission.rules;
  if (active.beams) return {.params = &rules.params};
  const auto output = static_cast<size_t>(sequence.output_index());
  const int32_t position = sequence.expected_length() - 1;  // this sample is expected already
  return {.params = &rules.params,
          .seed = *rules.params.seed,  // make_rules gave one
          .output_index = static_cast<uint32_t>(output),
          .position = static_cast<uint32_t>(position),
          .tokens = sequence.tokens(),
          .prompt_length = sequence.prompt_length(),
          .banned = active.outputs[output].banned(position - sequence.prompt_length())};
}

// What belongs to requests that are over was computed in vain.
void EngineLoop::deliver(const Flight& flight) {
  const Plan& plan = *flight.plan;
  results_.assign(plan.samples.size(), {});
  int64_t generated = 0;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    const auto found = active_.find(scheduler_.sequence(item.sequence).request());
    if (found == active_.end()) continue;
    Active& active = found->second;
    if (active.submission.embed) {
      deliver_embedding(active, item, flight.hidden_states, flight.batch.last_output_row(i));
      continue;
    }
    if (active.submission.score_prompt) {
      deliver_scores(active, item, flight.first_rows[i]);
      continue;
    }
    for (int32_t k = 0; k < item.sample_count; ++k) {
      const auto sample = static_cast<size_t>(item.first_sample) + static_cast<size_t>(k);
      const Sequence& sequence = scheduler_.sequence(plan.samples[sample]);
      if (!sequence.wants_results_of(plan.step)) continue;
      SampledToken& sampled = sampled_[flight.first_rows[i] + static_cast<size_t>(k)];
      ++generated;
      if (active.beams) {
        deliver_beam(active, sequence, sample, sampled);
        continue;
      }
      results_[sample] = deliver_token(active, sequence, sampled);
      if (results_[sample].finished && --active.unfinished == 0) {
        finished_.push_back(sequence.request());
      }
    }
  }
  const std::lock_guard lock(stats_mutex_);
  stats_.generated_tokens += generated;
}

void EngineLoop::deliver_scores(Active& active, const PlanItem& item, size_t first_row) {
  const bool at_end = item.sample_count > 0;
  const Positions positions = positions_to_read(active, item);
  Event event;
  for (int32_t p = positions.first; p < positions.end; ++p, ++first_row) {
    SampledToken& sampled = sampled_[first_row];
    event.tokens.push_back({sampled.token, sampled.logprob, std::move(sampled.top)});
  }
  active.read_positions = positions.end;
  if (at_end) {
    event.finish = FinishReason::length;
    results_[static_cast<size_t>(item.first_sample)] = {.accepted = {}, .finished = true};
    finished_.push_back(scheduler_.sequence(item.sequence).request());
  }
  send(active, std::move(event));
}

// `last_row`: of `states`, the item's last position's; those of the ones before come right before.
void EngineLoop::deliver_embedding(Active& active, const PlanItem& item,
                                   std::span<const float> states, int32_t last_row) {
  const Positions positions = positions_to_read(active, item);
  const auto size = static_cast<size_t>(model_.info.embedding_size);
  active.state_sum.resize(size);
  const int32_t last = item.first_position + item.q_len - 1;
  for (int32_t p = positions.first; p < positions.end; ++p) {
    const auto row = static_cast<size_t>(last_row - (last - p));
    const std::span<const float> state = states.subspan(row * size, size);
    for (size_t i = 0; i < size; ++i) active.state_sum[i] += state[i];
  }
  active.read_positions = positions.end;
  if (item.sample_count == 0) return;  // more of the prompt follows

  const Sequence& sequence = scheduler_.sequence(item.sequence);
  const bool is_mean = model_.info.pooling == Pooling::mean;
  const double count = is_mean ? sequence.prompt_length() : 1;
  Event event;
  event.finish = FinishReason::stop;
  for (const double sum : active.state_sum) {
    event.embedding.push_back(static_cast<float>(sum / count));
  }
  results_[static_cast<size_t>(item.first_sample)] = {.accepted = {}, .finished = true};
  finished_.push_back(sequence.request());
  send(active, std::move(event));
}

SampleResult EngineLoop::deliver_token(Active& active, const Sequence& sequence,
                                       const SampledToken& sampled) {
  Event event;
  event.output = sequence.output_index();
  Output& output = active.outputs[static_cast<size_t>(event.output)];
  event.finish = output.accept(sampled.token, event.text);
  event.tokens.push_back({sampled.token, sampled.logprob, sampled.top});
  const bool finished = event.finish != FinishReason::none;
  send(active, std::move(event));
  return {.accepted = {&sampled.token, 1}, .finished = finished};
}

// The last beam that comes brings the choice: what the scheduler is told of all of them.
void EngineLoop::deliver_beam(Active& active, const Sequence& sequence, size_t sample,
                              SampledToken& sampled) {
  BeamStep& step = *active.beams;
  const auto live = static_cast<size_t>(step.search.live());
  step.tops.resize(live);
  step.samples.resize(live);
  const auto beam = static_cast<size_t>(sequence.beam());
  step.tops[beam] = std::move(sampled.top);
  step.samples[beam] = sample;
  if (++step.arrived < step.search.live()) return;

  step.arrived = 0;
  step.branches.assign(live, {});
  int32_t next = 0;
  for (const BeamSearch::Way& way : step.search.advance(step.tops)) {
    step.branches[static_cast<size_t>(way.beam)].push_back({way.token, next++});
  }
  for (size_t i = 0; i < live; ++i) results_[step.samples[i]].branches = step.branches[i];
  if (next > 0) return;
  deliver_hypotheses(active);
  finished_.push_back(sequence.request());
}

void EngineLoop::deliver_hypotheses(Active& active) {
  std::vector<BeamSearch::Hypothesis> hypotheses = active.beams->search.hypotheses();
  for (int32_t i = 0; i < active.submission.outputs; ++i) {
    Event event;
    event.output = i;
    event.finish = FinishReason::length;  // of a vocabulary too small for so many texts
    if (static_cast<size_t>(i) < hypotheses.size()) {
      BeamSearch::Hypothesis& hypothesis = hypotheses[static_cast<size_t>(i)];
      Output& output = active.outputs[static_cast<size_t>(i)];
      for (const TokenInfo& info : hypothesis.tokens) {
        event.finish = output.accept(info.token, event.text);
      }
      event.tokens = std::move(hypothesis.tokens);
      event.score = hypothesis.score;
    }
    send(active, std::move(event));
  }
}

void EngineLoop::forget_finished() {
  for (const RequestId id : finished_) {
    requests_by_key_.erase(active_.at(id).submission.key);
    active_.erase(id);
  }
  finished_.clear();
}

EngineLoop::BlockRange EngineLoop::extent_blocks(ExtentId extent) const {
  const int64_t size = model_.kv.extent_blocks;
  const int64_t first = extent * size;
  return {first, std::min(size, model_.kv_store->block_count() - first)};
}

// Before blocks of the extent are used. False: others have taken the memory.
bool EngineLoop::take_memory(ExtentId extent) {
  const BlockRange blocks = extent_blocks(extent);
  const Result<void> taken = model_.kv_store->commit(blocks.first, blocks.count);
  if (!taken && !memory_is_short_) {
    std::fprintf(stderr, "octavo: the KV cache makes do with the memory it has: %s\n",
                 taken.error().message.c_str());
  }
  memory_is_short_ = !taken.ok();
  return taken.ok();
}

bool EngineLoop::give_back_idle_memory() {
  // Mail first: what is cached is still there for it.
  if (!tiers_.save(scheduler_, [this] { return mailbox_->has_arrived(); })) return false;
  std::vector<ExtentId> extents = scheduler_.release_idle();
  std::ranges::sort(extents);
  // Neighbours together: a store may have larger extents than the pool.
  for (size_t i = 0; i < extents.size();) {
    BlockRange blocks = extent_blocks(extents[i]);
    for (++i; i < extents.size() && extents[i] == extents[i - 1] + 1; ++i) {
      blocks.count += extent_blocks(extents[i]).count;
    }
    model_.kv_store->release(blocks.first, blocks.count);
  }
  model_.host_memory->release();
  return true;
}

void EngineLoop::count_computed(const Plan& plan) {
  const std::lock_guard lock(stats_mutex_);
  ++stats_.steps;
  for (const PlanItem& item : plan.items) {
    const int32_t prompt_left =
        scheduler_.sequence(item.sequence).prompt_length() - item.first_position;
    stats_.prompt_tokens += std::clamp(prompt_left, 0, item.q_len);
  }
}

void EngineLoop::publish_stats() {
  const PoolCounts pool = scheduler_.kv().counts();
  const SchedulerCounters counters = scheduler_.counters();
  const std::lock_guard lock(stats_mutex_);
  stats_.running = scheduler_.running_sequences();
  stats_.preempted = scheduler_.preempted_sequences();
  stats_.blocks_total = pool.total;
  stats_.blocks_in_use = pool.in_use;
  stats_.blocks_shared = pool.shared;
  stats_.blocks_cached = pool.cached;
  stats_.blocks_free = pool.free;
  stats_.blocks_uncommitted = pool.uncommitted;
  stats_.block_bytes = model_.kv_store->shape().block_bytes();
  stats_.host_blocks_used = scheduler_.kv().host_slots_used();
  stats_.prefix_query_tokens = counters.prefix_query_tokens;
  stats_.prefix_hit_tokens = counters.prefix_hit_tokens;
  stats_.preemptions = counters.preemptions;
  stats_.swap_preemptions = counters.swap_preemptions;
  stats_.evictions = counters.evictions;
  stats_.block_copies = counters.copies;
  stats_.blocks_swapped_out = counters.swapped_out;
  stats_.blocks_swapped_in = counters.swapped_in;
}

EngineStats EngineLoop::stats() const {
  EngineStats stats;
  {
    const std::lock_guard lock(stats_mutex_);
    stats = stats_;
  }
  stats.waiting = mailbox_->waiting();
  stats.max_running = config_.max_sequences;
  tiers_.fill(stats);
  return stats;
}

}  // namespace octavo
