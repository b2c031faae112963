#include "sched/simulator.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "sched/fake_model.h"
#include "sched/world_config.h"

namespace octavo::sim {

namespace {

// How to repeat the world that runs now. A broken OCTAVO_CHECK aborts the process; the handler
// prints this first. Only async-signal-safe calls are made there.
std::array<char, 128> g_current_world{};

extern "C" void print_current_world(int /*signal*/) {
  const auto written = write(STDERR_FILENO, g_current_world.data(), strlen(g_current_world.data()));
  static_cast<void>(written);
}

class AbortHandler {
 public:
  AbortHandler() : previous_(std::signal(SIGABRT, print_current_world)) {}
  ~AbortHandler() { std::signal(SIGABRT, previous_); }
  AbortHandler(const AbortHandler&) = delete;
  AbortHandler& operator=(const AbortHandler&) = delete;

 private:
  void (*previous_)(int);
};

struct Job {
  RequestSpec spec;
  Sampling sampling;
  std::vector<std::vector<TokenId>> outputs;
  std::vector<std::vector<TokenId>> expected;  // what they are when the request is alone
  size_t live_beams = 1;
  std::vector<uint64_t> choices;  // of a beam search
  int32_t unfinished = 0;
  bool cancelled = false;
};

// What a step needs to run, copied when it is planned as a device's queue would.
struct CapturedItem {
  PlanItem item;
  std::vector<std::vector<BlockId>> tables;
  std::vector<TokenId> tokens;
  uint64_t key = 0;
};
struct SampledRow {
  RequestId request = 0;
  int32_t output = 0;
  int32_t beam = 0;
  int32_t q_len = 0;  // of its item
  Sampling sampling;
  uint64_t seen = 0;  // what the logits depend on
};
struct CapturedStep {
  const Plan* plan = nullptr;
  std::vector<CapturedItem> items;
  BlockMoves moves;
  std::vector<SampledRow> sampled;
};

class World {
 public:
  World(Random random, WorldConfig config, SimulationReport& report)
      : random_(random),
        config_(std::move(config)),
        scheduler_(config_.kv, config_.limits,
                   [this](ExtentId extent) { return give_memory(extent); }),
        model_(config_.kv.groups, config_.kv.block_size, config_.kv.max_blocks,
               config_.kv.host_blocks),
        host_uses_(static_cast<size_t>(config_.kv.host_blocks), 0),
        report_(report),
        has_memory_(static_cast<size_t>(config_.kv.max_blocks), false) {
    for (std::vector<uint64_t>& uses : slot_uses_) {
      uses.resize(static_cast<size_t>(config_.kv.max_blocks) * block_size(), 0);
    }
    for (int i = 0; i < 4; ++i)
      prefixes_.push_back(draw_tokens(random_.between(0, config_.limits.context_length / 2)));
  }

  // Serves that many requests.
  std::optional<std::string> serve(int64_t requests) {
    while (!failure_ && (requests > 0 || scheduler_.has_work())) {
      for (int32_t i = random_.between(0, config_.arrivals); i > 0 && requests > 0; --i) {
        requests -= arrive() ? 1 : 0;
      }
      if (flying_.empty() && random_.chance(2)) release_idle();
      now_ms_ += random_.chance(1) ? random_.between(0, 60000) : random_.between(0, 3);
      step();
    }
    return finish();
  }

  // Serves for so long, with a load that comes and goes.
  std::optional<std::string> serve_until(int64_t end_ms) {
    int32_t load_percent = 0;  // steps with arrivals
    int64_t load_until_ms = 0;
    while (!failure_ && (now_ms_ < end_ms || scheduler_.has_work())) {
      if (now_ms_ >= load_until_ms) {
        load_percent = random_.pick<int32_t>({0, 1, 10, 100});
        load_until_ms = now_ms_ + random_.between(1000, 60000);
      }
      if (now_ms_ < end_ms && random_.chance(load_percent)) {
        for (int32_t i = random_.between(1, config_.arrivals); i > 0; --i) arrive();
      }
      if (load_percent == 0 && !scheduler_.has_work() && flying_.empty()) {
        now_ms_ = load_until_ms;
        if (random_.chance(50)) release_idle();
        continue;
      }
      now_ms_ += random_.between(5, 40);
      step();
    }
    report_.simulated_ms += now_ms_;
    return finish();
  }

 private:
  void fail(std::string what) {
    if (!failure_) failure_ = std::move(what);
  }

  size_t block_size() const { return static_cast<size_t>(config_.kv.block_size); }

  std::vector<TokenId> draw_tokens(int32_t count) {
    std::vector<TokenId> tokens(static_cast<size_t>(count));
    for (TokenId& token : tokens) token = random_.between(0, config_.vocabulary - 1);
    return tokens;
  }

  // Whether a request was taken.
  bool arrive() {
    const bool taken = submit();
    if (!jobs_.empty() && random_.chance(config_.cancel_percent)) cancel();
    return taken;
  }

  // False when the queue is full or the request was refused for good.
  bool submit() {
    Job job;
    job.spec.prompt = random_.pick(prefixes_);
    const std::vector<TokenId> tail = draw_tokens(random_.between(1, 12));
    job.spec.prompt.insert(job.spec.prompt.end(), tail.begin(), tail.end());
    job.spec.max_new_tokens = random_.between(1, config_.limits.context_length / 2);
    const int32_t most_outputs = random_.chance(20) ? config_.most_outputs : 6;
    job.spec.outputs = random_.chance(25) ? random_.between(2, most_outputs) : 1;
    if (job.spec.outputs == 1 && random_.chance(20)) job.spec.beam_width = random_.between(1, 6);
    job.spec.priority = random_.chance(20) ? random_.between(-1, 1) : 0;
    job.spec.extra_key = random_.pick<std::string>({"", "", "", "a", "another tenant's salt"});
    job.spec.retention = {.priority = random_.chance(60) ? 1 : random_.between(0, 3),
                          .ttl_ms = random_.pick<int64_t>({0, 0, 5, 100, 30000})};
    job.sampling = {.seed = random_.next(),
                    .vocabulary = config_.vocabulary,
                    .end_every = random_.pick<int32_t>({0, 10, 30})};
    job.outputs.resize(static_cast<size_t>(job.spec.outputs));
    job.unfinished = job.spec.outputs;
    offer_from_disk(job.spec);
    const Result<RequestId> id = scheduler_.submit(job.spec);
    if (!id) return false;
    for (int32_t output = 0; output < job.spec.outputs && job.spec.beam_width == 0; ++output) {
      job.expected.push_back(reference_tokens(config_.kv.groups, job.spec.prompt,
                                              job.spec.extra_key, job.sampling, output,
                                              job.spec.max_new_tokens));
    }
    jobs_.emplace(id.value(), std::move(job));
    return true;
  }

  // What the host tier dropped is kept on a disk, and sometimes offered back before a request that
  // could use it.
  void offer_from_disk(const RequestSpec& spec) {
    if (!random_.chance(30)) return;
    const auto size = static_cast<int32_t>(block_size());
    for (int32_t end = size; end < std::ssize(spec.prompt); end += size) {
      const std::vector<TokenId> prefix(spec.prompt.begin(), spec.prompt.begin() + end);
      for (int32_t group = 0; group < std::ssize(config_.kv.groups); ++group) {
        const auto found = disk_.find({prefix, spec.extra_key, group});
        if (found == disk_.end()) continue;
        const HostSlot slot = scheduler_.offer_host_block(prefix, spec.extra_key, group);
        if (slot == kNoSlot) continue;
        use_host_slot(slot, flying_.empty() ? 0 : flying_.back().plan->step, /*writes=*/true);
        std::ranges::copy(found->second, model_.host_slot(slot).begin());
        ++report_.offered;
      }
    }
  }

  // A step may not write a host slot that the step in flight uses.
  void use_host_slot(HostSlot slot, uint64_t step, bool writes) {
    uint64_t& last = host_uses_[static_cast<size_t>(slot)];
    for (const CapturedStep& flying : flying_) {
      if (writes && last == flying.plan->step) fail("a host slot in flight is written");
    }
    last = step;
  }

  void cancel() {
    auto job = jobs_.begin();
    std::advance(job, random_.between(0, static_cast<int32_t>(jobs_.size()) - 1));
    end(job->first);
  }

  void end(RequestId id) {
    scheduler_.cancel(id);
    if (random_.chance(20)) scheduler_.cancel(id);
    jobs_.at(id).cancelled = true;
    close(id);
    check_scheduler("cancel");
  }

  void release_idle() {
    for (const ExtentId extent : scheduler_.release_idle()) {
      ++report_.extents_released;
      for_blocks_of(extent, [&](BlockId block) {
        if (!has_memory_[static_cast<size_t>(block)]) fail("an extent was released twice");
        has_memory_[static_cast<size_t>(block)] = false;
        model_.poison(block);
      });
      --given_extents_;
    }
    const PoolCounts& pool = scheduler_.kv().counts();
    if (pool.cached != 0) fail("cached blocks survive release_idle()");
    check_scheduler("release_idle");
  }

  int32_t extent_count() const {
    return (config_.kv.max_blocks - 1) / config_.kv.extent_blocks + 1;
  }

  bool give_memory(ExtentId extent) {
    if (now_ms_ < refused_ms_ + 1000) fail("memory is asked for right after a refusal");
    if (config_.is_scarce && (given_extents_ >= left_extents_ || random_.chance(5))) {
      refused_ms_ = now_ms_;
      ++report_.refusals;
      return false;
    }
    for_blocks_of(extent, [&](BlockId block) {
      if (has_memory_[static_cast<size_t>(block)]) fail("an extent was committed twice");
      has_memory_[static_cast<size_t>(block)] = true;
    });
    ++given_extents_;
    return true;
  }

  // Ends what does not fit into the memory there is.
  void end_starving() {
    const std::optional<RequestId> id = scheduler_.starving();
    if (!id || now_ms_ >= refused_ms_ + 1000) return fail("nothing moves any more");
    for (const SequenceSnapshot& other : scheduler_.snapshot().sequences) {
      if (other.request != *id) fail("a request starves beside another that has blocks");
    }
    const RequestSpec& spec = jobs_.at(*id).spec;
    const auto prompt = static_cast<int64_t>(spec.prompt.size());
    const int64_t length = prompt + spec.max_new_tokens - 1;
    const int64_t needed =
        spec.beam_width > 1 ? scheduler_.kv().peak_blocks_of_forks(length, prompt, spec.beam_width)
                            : scheduler_.kv().peak_blocks(length, 1);
    if (std::ranges::count(has_memory_, true) >= needed) fail("a request starves and would fit");
    ++report_.starved;
    end(*id);
  }

  template <class Body>
  void for_blocks_of(ExtentId extent, Body body) {
    const BlockId begin = extent * config_.kv.extent_blocks;
    const BlockId end = std::min(begin + config_.kv.extent_blocks, config_.kv.max_blocks);
    for (BlockId block = begin; block < end; ++block) body(block);
  }

  void step() {
    scheduler_.set_time(now_ms_);
    if (random_.chance(2)) left_extents_ = random_.between(0, extent_count());
    const int64_t found = scheduler_.counters().prefix_hit_tokens;
    const int32_t budget = random_.pick(config_.token_budgets);
    const Plan& plan = scheduler_.plan(budget);
    check_scheduler("plan");
    if (plan.token_count > budget) fail("the budget is exceeded");
    if ((scheduler_.counters().prefix_hit_tokens - found) % config_.kv.block_size != 0) {
      ++report_.partial_hits;
    }
    if (plan.empty() && flying_.empty() && scheduler_.has_work()) return end_starving();
    if (!plan.empty()) capture(plan);
    const bool ahead = config_.runs_ahead && !plan.empty() && random_.chance(80);
    const size_t may_fly = ahead ? 1 : 0;
    while (!failure_ && flying_.size() > may_fly) {
      execute_and_commit();
      check_scheduler("commit");
    }
  }

  void check_scheduler(const char* when) {
    if (auto breach = scheduler_.check_integrity())
      fail(fmt::format("after {}: {}", when, *breach));
    if (++checks_ % 16 == 0) check_snapshot();
  }

  // The snapshot adds up to the pool's counts and to the tables of the sequences.
  void check_snapshot() {
    const CacheSnapshot snapshot = scheduler_.snapshot();
    const auto committed = static_cast<int32_t>(snapshot.blocks.size());
    PoolCounts seen{.total = config_.kv.max_blocks,
                    .uncommitted = config_.kv.max_blocks - committed};
    std::vector<int32_t> owned(snapshot.sequences.size(), 0);
    for (const BlockSnapshot& block : snapshot.blocks) {
      if (block.state == BlockState::free) ++seen.free;
      if (block.state == BlockState::cached) ++seen.cached;
      if (block.state == BlockState::in_use) ++seen.in_use;
      if (block.state == BlockState::in_use && block.owners.empty()) ++seen.held;
      if (block.owners.size() > 1) ++seen.shared;
      if (block.tokens < 0 || block.tokens > config_.kv.block_size) fail("a block overflows");
      for (const int32_t owner : block.owners) ++owned[static_cast<size_t>(owner)];
    }
    if (!(seen == scheduler_.kv().counts())) fail("the snapshot differs from the counts");
    if (snapshot.wasted_slots() < 0) fail("more slots are filled than owned");
    for (size_t i = 0; i < owned.size(); ++i) {
      const Sequence& s = scheduler_.sequence(snapshot.sequences[i].sequence);
      for (int32_t group = 0; group < std::ssize(config_.kv.groups); ++group) {
        const auto table = s.table(group);
        owned[i] -= static_cast<int32_t>(table.size() - std::ranges::count(table, kNoBlock));
      }
      if (owned[i] != 0) fail("the snapshot differs from a sequence's tables");
    }
  }

  void capture(const Plan& plan) {
    CapturedStep step{.plan = &plan, .items = {}, .moves = plan.moves, .sampled = {}};
    capture_moves(plan);
    int32_t total = 0;
    for (const PlanItem& item : plan.items) {
      total += item.q_len;
      step.items.push_back(capture_item(plan, item));
    }
    for (const PlanItem& item : plan.items) {
      for (int32_t i = 0; i < item.sample_count; ++i) {
        const auto row = static_cast<size_t>(item.first_sample) + static_cast<size_t>(i);
        capture_sample(step, plan.samples[row], item.q_len);
      }
    }
    if (total != plan.token_count) fail("the plan's tokens are miscounted");
    flying_.push_back(std::move(step));
  }

  void capture_sample(CapturedStep& step, SequenceId id, int32_t q_len) {
    const Sequence& s = scheduler_.sequence(id);
    step.sampled.push_back({.request = s.request(),
                            .output = s.output_index(),
                            .beam = s.beam(),
                            .q_len = q_len,
                            .sampling = jobs_.at(s.request()).sampling});
  }

  void capture_moves(const Plan& plan) {
    const auto check_block = [&](BlockId block, bool writes) {
      for (int32_t slot = 0; slot < config_.kv.block_size; ++slot) {
        check_slot(block, slot, plan.step, writes);
      }
    };
    std::set<BlockId> written;
    for (const BlockSwap& swap : plan.moves.swap_out) {
      check_block(swap.block, false);
      use_host_slot(swap.host_slot, plan.step, true);
    }
    for (const BlockSwap& swap : plan.moves.swap_in) {
      check_block(swap.block, true);
      use_host_slot(swap.host_slot, plan.step, false);
      if (!written.insert(swap.block).second) fail("a block gets two contents");
    }
    for (const BlockCopy& copy : plan.moves.copies) {
      for (const BlockCopy& other : plan.moves.copies) {
        if (copy.from == other.to) fail("a block is both source and destination of copies");
      }
      check_block(copy.to, true);
      check_block(copy.from, false);
      if (!written.insert(copy.to).second) fail("a block gets two contents");
    }
  }

  CapturedItem capture_item(const Plan& plan, const PlanItem& item) {
    const Sequence& s = scheduler_.sequence(item.sequence);
    CapturedItem captured{.item = item,
                          .tables = {},
                          .tokens = {},
                          .key = key_hash(jobs_.at(s.request()).spec.extra_key)};
    for (size_t g = 0; g < config_.kv.groups.size(); ++g) {
      const auto table = s.table(static_cast<int32_t>(g));
      captured.tables.emplace_back(table.begin(), table.end());
    }
    // After a truncation the last token is computed again, to the same values, perhaps beside the
    // step that is void now.
    const bool rewound = rewound_.erase({s.request(), s.output_index()}) > 0;
    const int32_t end = item.first_position + item.q_len;
    if (end != s.computed_length()) fail("an item ends elsewhere than its sequence");
    for (int32_t p = item.first_position; p < end; ++p) {
      const auto i = static_cast<size_t>(p);
      captured.tokens.push_back(item.previous_row < 0 ? s.tokens()[i] : -1);
    }
    for (size_t g = 0; g < config_.kv.groups.size(); ++g) {
      const int32_t first = first_visible(config_.kv.groups[g], item.first_position);
      for (int32_t p = first; p < end; ++p) {
        const BlockId block = captured.tables[g][static_cast<size_t>(p / config_.kv.block_size)];
        const int32_t slot = p % config_.kv.block_size;
        check_slot(block, slot, plan.step, p >= item.first_position && !rewound);
        if (block != kNoBlock) last_use(block, slot, plan.step) = plan.step;
      }
    }
    return captured;
  }

  // A step may not write what the step in flight reads or writes, and no step may touch memory that
  // was not committed.
  void check_slot(BlockId block, int32_t slot, uint64_t step, bool writes) {
    if (block == kNoBlock || !has_memory_[static_cast<size_t>(block)]) {
      fail(fmt::format("step {} uses block {}, which has no memory", step, block));
      return;
    }
    const uint64_t in_flight = flying_.empty() ? 0 : flying_.back().plan->step;
    if (writes && in_flight != 0 && last_use(block, slot, in_flight) == in_flight) {
      fail(fmt::format("step {} writes slot {} of block {}, which step {} uses", step, slot, block,
                       in_flight));
    }
  }

  uint64_t& last_use(BlockId block, int32_t slot, uint64_t step) {
    return slot_uses_[step % 2]
                     [static_cast<size_t>(block) * block_size() + static_cast<size_t>(slot)];
  }

  void execute_and_commit() {
    CapturedStep step = std::move(flying_.front());
    flying_.pop_front();
    execute(step.moves);
    std::vector<TokenId> samples;
    for (CapturedItem& captured : step.items) {
      const PlanItem& item = captured.item;
      if (item.previous_row >= 0) {
        captured.tokens[0] = last_samples_[static_cast<size_t>(item.previous_row)];
      }
      uint64_t seen = 0;
      for (int32_t i = 0; i < item.q_len; ++i) {
        seen = model_.compute(captured.tables, item.first_position + i,
                              captured.tokens[static_cast<size_t>(i)], captured.key);
      }
      for (int32_t i = 0; i < item.sample_count; ++i) {
        SampledRow& row = step.sampled[samples.size()];
        row.seen = seen;
        samples.push_back(
            sample(seen, row.sampling, row.output, item.first_position + item.q_len - 1));
      }
      report_.tokens += item.q_len;
    }
    ++report_.steps;
    commit(step, samples);
    last_samples_ = std::move(samples);
  }

  void execute(const BlockMoves& moves) {
    for (const BlockContent& spill : moves.spills) {
      const auto bytes = model_.host_slot(spill.host_slot);
      disk_[{spill.tokens, spill.extra_key, spill.group}] = {bytes.begin(), bytes.end()};
    }
    for (const BlockSwap& swap : moves.swap_out) model_.swap_out(swap);
    for (const BlockSwap& swap : moves.swap_in) model_.swap_in(swap);
    for (const BlockCopy& copy : moves.copies) model_.copy_block(copy.from, copy.to);
  }

  void commit(const CapturedStep& step, const std::vector<TokenId>& samples) {
    std::vector<SampleResult> results(samples.size());
    std::vector<RequestId> closed;
    std::map<RequestId, std::vector<size_t>> beam_rows;
    for (size_t row = 0; row < samples.size(); ++row) {
      const Sequence& s = scheduler_.sequence(step.plan->samples[row]);
      if (!s.wants_results_of(step.plan->step)) {
        ++report_.voided;
        continue;
      }
      const RequestId request = step.sampled[row].request;
      Job& job = jobs_.at(request);
      if (job.spec.beam_width > 0) {
        beam_rows[request].push_back(row);
        continue;
      }
      if (random_.chance(config_.reject_percent)) {
        ++report_.truncations;
        rewound_.insert({step.sampled[row].request, step.sampled[row].output});
        continue;
      }
      if (!accept(job, step.sampled[row], samples[row], results[row])) continue;
      if (--job.unfinished == 0) closed.push_back(request);
    }
    std::deque<std::vector<Branch>> branches;
    for (auto& [request, rows] : beam_rows) {
      if (choose(step, request, rows, branches, results)) closed.push_back(request);
    }
    scheduler_.commit(*step.plan, results);
    for (const RequestId id : closed) close(id);
  }

  // Gives an output its sample, and sometimes what comes next anyway, as if drafts had been right;
  // true when it is over.
  bool accept(Job& job, const SampledRow& row, TokenId drawn, SampleResult& result) {
    const auto output = static_cast<size_t>(row.output);
    std::vector<TokenId>& tokens = job.outputs[output];
    const std::vector<TokenId>& expected = job.expected[output];
    const size_t known = tokens.size();
    tokens.push_back(drawn);
    if (row.q_len > 1 && random_.chance(config_.several_percent)) {
      const auto most = known + static_cast<size_t>(random_.between(2, row.q_len));
      while (tokens.size() < std::min(most, expected.size())) {
        tokens.push_back(expected[tokens.size()]);
      }
      if (tokens.size() > known + 1) ++report_.several;
    }
    const bool end = is_end(tokens.back(), job.sampling);
    result.finished = end;
    result.accepted = std::span(tokens).subspan(known);
    if (end && !config_.keeps_end) {
      result.accepted = result.accepted.first(result.accepted.size() - 1);
    }
    return end || std::ssize(tokens) == job.spec.max_new_tokens;
  }

  // The choice of a beam search, of which all beams must be here; true when it is over.
  bool choose(const CapturedStep& step, RequestId request, std::vector<size_t>& rows,
              std::deque<std::vector<Branch>>& branches, std::vector<SampleResult>& results) {
    Job& job = jobs_.at(request);
    std::ranges::sort(rows, {}, [&step](size_t row) { return step.sampled[row].beam; });
    std::vector<uint64_t> seen;
    for (const size_t row : rows) {
      if (step.sampled[row].beam != std::ssize(seen)) fail("a beam is missing from its step");
      seen.push_back(step.sampled[row].seen);
    }
    if (rows.size() != job.live_beams) {
      fail(fmt::format("{} of {} beams of request {} are in a step", rows.size(), job.live_beams,
                       request));
    }
    job.choices.push_back(hash_of(seen));
    if (rows.size() > 1) ++report_.beam_choices;
    job.live_beams = 0;
    auto chosen = choose_beams(seen, job.spec.beam_width, job.sampling);
    for (size_t i = 0; i < rows.size(); ++i) {
      branches.push_back(std::move(chosen[i]));
      results[rows[i]].branches = branches.back();
      job.live_beams += branches.back().size();
    }
    return job.live_beams == 0 || std::ssize(job.choices) == job.spec.max_new_tokens;
  }

  void check_beams(const Job& job, RequestId id) {
    std::vector<uint64_t> expected = reference_beams(config_.kv.groups, job.spec, job.sampling);
    if (job.cancelled) expected.resize(std::min(expected.size(), job.choices.size()));
    if (job.choices != expected) {
      fail(fmt::format("request {}: its beams differ from those of the request alone", id));
    }
  }

  // Compares the outputs with those of the request alone; of a cancelled one, what came of them.
  void close(RequestId id) {
    const Job& job = jobs_.at(id);
    if (job.spec.beam_width > 0) check_beams(job, id);
    for (int32_t output = 0; output < job.spec.outputs && job.spec.beam_width == 0; ++output) {
      std::vector<TokenId> expected = job.expected[static_cast<size_t>(output)];
      const std::vector<TokenId>& tokens = job.outputs[static_cast<size_t>(output)];
      if (job.cancelled) expected.resize(std::min(expected.size(), tokens.size()));
      if (tokens != expected) {
        fail(fmt::format("request {} output {}: its tokens differ from those of the request alone",
                         id, output));
      }
    }
    ++(job.cancelled ? report_.cancelled : report_.finished);
    // The next turn of the chat starts with all of this one.
    std::vector<TokenId> history = job.spec.prompt;
    history.insert(history.end(), job.outputs[0].begin(), job.outputs[0].end());
    prefixes_[static_cast<size_t>(random_.between(1, 3))] =
        std::ssize(history) * 3 < config_.limits.context_length * 2
            ? std::move(history)
            : draw_tokens(random_.between(0, config_.limits.context_length / 2));
    jobs_.erase(id);
  }

  std::optional<std::string> finish() {
    if (!failure_) check_end();
    add_counters();
    return failure_;
  }

  void check_end() {
    while (!flying_.empty()) execute_and_commit();
    check_scheduler("the last commit");
    const PoolCounts& pool = scheduler_.kv().counts();
    if (pool.in_use != 0) fail(fmt::format("{} blocks are in use at the end", pool.in_use));
    if (!jobs_.empty()) fail(fmt::format("{} requests were lost", jobs_.size()));
    release_idle();
    if (scheduler_.kv().counts().uncommitted != config_.kv.max_blocks) {
      fail("memory is committed after everything was released");
    }
  }

  void add_counters() {
    const SchedulerCounters counters = scheduler_.counters();
    report_.counters.preemptions += counters.preemptions;
    report_.counters.prefix_query_tokens += counters.prefix_query_tokens;
    report_.counters.prefix_hit_tokens += counters.prefix_hit_tokens;
    report_.counters.evictions += counters.evictions;
    report_.counters.copies += counters.copies;
    report_.counters.swap_preemptions += counters.swap_preemptions;
    report_.counters.swapped_out += counters.swapped_out;
    report_.counters.swapped_in += counters.swapped_in;
  }

  Random random_;
  WorldConfig config_;
  Scheduler scheduler_;
  FakeModel model_;
  std::vector<uint64_t> host_uses_;  // [host slots] the step that used it last
  // (prefix, key, group) -> what a host slot held when it was dropped.
  std::map<std::tuple<std::vector<TokenId>, std::string, int32_t>, std::vector<uint64_t>> disk_;
  int64_t now_ms_ = 0;
  SimulationReport& report_;
  std::optional<std::string> failure_;
  std::map<RequestId, Job> jobs_;
  std::vector<std::vector<TokenId>> prefixes_;
  std::deque<CapturedStep> flying_;  // planned and not committed
  std::vector<TokenId> last_samples_;
  std::set<std::pair<RequestId, int32_t>> rewound_;
  std::array<std::vector<uint64_t>, 2> slot_uses_;  // [step % 2][slot]: the step that used it last
  std::vector<bool> has_memory_;
  int32_t given_extents_ = 0;
  int32_t left_extents_ = extent_count();  // by others, of a scarce world
  int64_t refused_ms_ = -1000;
  int64_t checks_ = 0;
};

// Notes how to repeat the world that begins.
void note_world(const SimulationReport& report, uint64_t seed, std::string_view flag,
                int64_t value) {
  const auto end = fmt::format_to_n(g_current_world.data(), g_current_world.size() - 1,
                                    "world {} (repeat with --seed {} --{} {})\n", report.worlds,
                                    seed, flag, value);
  *end.out = '\0';
}

}  // namespace

SimulationReport simulate(const SimulationOptions& options) {
  const AbortHandler handler;
  SimulationReport report;
  const auto end = [&report](std::optional<std::string> failure) {
    if (failure) report.failure = fmt::format("{}{}", g_current_world.data(), *failure);
    ++report.worlds;
  };
  const bool is_timed = options.minutes > 0;
  int64_t left = is_timed ? options.minutes : options.requests;
  const int64_t most = is_timed ? options.minutes_per_world : options.requests_per_world;
  while (left > 0 && !report.failure) {
    const int64_t share = std::min(left, most);
    const uint64_t seed = options.seed + static_cast<uint64_t>(report.worlds);
    note_world(report, seed, is_timed ? "minutes" : "requests", share);
    Random random(seed);
    if (is_timed) {
      const WorldConfig config = draw_full_config(random);
      end(World(random, config, report).serve_until(share * 60000));
    } else {
      const WorldConfig config = draw_config(random);
      end(World(random, config, report).serve(share));
    }
    left -= share;
  }
  return report;
}

}  // namespace octavo::sim
