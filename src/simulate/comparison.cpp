#include "simulate/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <unordered_set>

#include "base/error.h"
#include "simulate/lengths.h"
#include "simulate/measurement.h"
#include "simulate/paged_run.h"
#include "simulate/paper.h"
#include "simulate/reserved_run.h"

namespace octavo::simulate {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

constexpr const char* kMeasured =
    "Measured from the moment when a tenth of the requests is done until the last one has been "
    "started; every step counts with the time it lasts.";
constexpr const char* kPaper =
    "paper: arXiv 2309.06180, OPT-13B, 12 GB for K and V, a context of 2048, at a fixed rate of "
    "requests.";

double gib(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

std::string describe(const Workload& workload) {
  double prompt = 0;
  double output = 0;
  for (const Request& request : workload.requests) {
    prompt += request.prompt_length;
    output += request.output_length;
  }
  const auto count = static_cast<double>(workload.requests.size());
  return fmt::format("{}: {} requests, {} + {} tokens on average", workload.name, grouped(count, 0),
                     grouped(prompt / count, 1), grouped(output / count, 1));
}

std::string describe(const Machine& machine) {
  const std::string host = machine.host_memory_bytes == 0
                               ? ""
                               : fmt::format(", {:g} GiB of the host's for what leaves them",
                                             gib(machine.host_memory_bytes));
  return fmt::format("{:g} GiB for K and V hold {} tokens of {:g} KiB{}; context {}",
                     gib(machine.memory_bytes), grouped(static_cast<double>(machine.slots()), 0),
                     static_cast<double>(machine.token_bytes()) / 1024, host,
                     grouped(machine.context_length, 0));
}

Report begin_report(const Setting& setting, std::string title) {
  return {.title = std::move(title),
          .workload = describe(setting.workload),
          .machine = describe(setting.machine)};
}

Cell percent(double share) {
  return Number{share * 100, 1};
}

// The paper's number, or nothing.
Cell published(double value, int decimals) {
  if (value == paper::kMissing) return {};
  return Number{value, decimals};
}

double or_none(double published_value) {
  return published_value == paper::kMissing ? kNone : published_value;
}

Paging paging_of(const Setting& setting) {
  return {
      .block_size = setting.block_size, .prefix_cache = setting.prefix_cache, .seed = setting.seed};
}

void note_refused(Report& report, int64_t refused, const std::string& who) {
  if (refused == 0) return;
  report.notes.push_back(
      fmt::format("{}: requests longer than the context or than the memory, and refused: {}.", who,
                  grouped(static_cast<double>(refused), 0)));
}

// Adds a run to the report's count of steps, and says so if it was all beginning and end: then its
// averages are those of nothing.
void count_run(Report& report, const Measurement& measured, const std::string& who) {
  report.sequence_steps += measured.sequence_steps;
  if (measured.batch_requests > 0) return;
  report.notes.push_back(
      fmt::format("{}: too few requests to keep this memory full: nothing was measured.", who));
}

struct NamedRun {
  std::string name;
  Measurement measured;
};

std::vector<NamedRun> run_policies(const Setting& setting) {
  const Machine& machine = setting.machine;
  const Workload& workload = setting.workload;
  return {{"longest", run_reserved(machine, workload, Reservation::longest)},
          {"power of two", run_reserved(machine, workload, Reservation::power_of_two)},
          {"true length", run_reserved(machine, workload, Reservation::true_length)},
          {"blocks", run_paged(machine, workload, paging_of(setting))}};
}

// The paper's figures for this workload; nullptr where it has none.
const paper::Policies* published_tokens(const Workload& workload) {
  return workload.name == kShareGpt.name ? &paper::kTokenPercent : nullptr;
}
const paper::Policies* published_batch(const Workload& workload) {
  if (workload.name == kShareGpt.name) return &paper::kShareGptBatch;
  return workload.name == kAlpaca.name ? &paper::kAlpacaBatch : nullptr;
}

void chart_policies(Report& report, std::span<const NamedRun> runs, const Workload& workload) {
  Chart memory{.kind = Chart::Kind::stacked_bars,
               .title = "What the memory for K and V is used for",
               .series = {{"tokens", {}},
                          {"reserved, used later", {}},
                          {"reserved, never used", {}},
                          {"free or lost", {}}},
               .unit = "%",
               .decimals = 1,
               .maximum = 100};
  Chart batch{.title = "Requests in the batch", .series = {{"simulated", {}}}, .decimals = 1};
  Chart speed{.title = "Tokens generated per second", .series = {{"simulated", {}}}, .unit = "/s"};
  const paper::Policies* batch_published = published_batch(workload);
  if (batch_published != nullptr) {
    batch.series.push_back({"paper", {batch_published->begin(), batch_published->end()}});
  }
  for (const auto& [name, m] : runs) {
    for (Chart* chart : {&memory, &batch, &speed}) chart->labels.push_back(name);
    memory.series[0].values.push_back(m.tokens * 100);
    memory.series[1].values.push_back(m.reserved * 100);
    memory.series[2].values.push_back(m.never_used * 100);
    memory.series[3].values.push_back(m.rest * 100);
    batch.series[0].values.push_back(m.batch_requests);
    speed.series[0].values.push_back(m.output_tokens_per_s);
  }
  report.charts = {memory, batch, speed};
}

void tabulate_policies(Report& report, std::span<const NamedRun> runs, const Workload& workload) {
  const paper::Policies* tokens = published_tokens(workload);
  const paper::Policies* batch = published_batch(workload);
  std::vector<Column>& columns = report.table.columns;
  columns = {{"policy", "memory"}, {"tokens_percent", "tokens %"}};
  if (tokens != nullptr) columns.push_back({"paper_tokens_percent", "paper %"});
  columns.insert(columns.end(), {{"reserved_percent", "later %"},
                                 {"never_used_percent", "never %"},
                                 {"rest_percent", "rest %"},
                                 {"tokens_of_taken_percent", "of taken %"},
                                 {"output_tokens_per_s", "tokens/s"},
                                 {"batch_requests", "batch"}});
  if (batch != nullptr) columns.push_back({"paper_batch_requests", "paper"});
  for (size_t i = 0; i < runs.size(); ++i) {
    const Measurement& m = runs[i].measured;
    std::vector<Cell> row = {runs[i].name, percent(m.tokens)};
    if (tokens != nullptr) row.push_back(published((*tokens)[i], 1));
    row.insert(row.end(), {percent(m.reserved), percent(m.never_used), percent(m.rest),
                           percent(m.tokens_of_taken), Number{m.output_tokens_per_s, 0},
                           Number{m.batch_requests, 2}});
    if (batch != nullptr) row.push_back(published((*batch)[i], 2));
    report.table.rows.push_back(std::move(row));
  }
}

// Tokens at the beginning of prompts that an earlier prompt has too: what a cache that never
// forgets finds. A prompt's last token is always computed.
double repeated_share(const Workload& workload) {
  std::unordered_set<int32_t> known;
  int64_t repeated = 0;
  int64_t all = 0;
  for (const Request& request : workload.requests) {
    int64_t found = 0;
    while (found < std::ssize(request.pieces) &&
           known.contains(request.pieces[static_cast<size_t>(found)])) {
      ++found;
    }
    known.insert(request.pieces.begin(), request.pieces.end());
    repeated += std::min<int64_t>(found * kPieceTokens, request.prompt_length - 1);
    all += request.prompt_length;
  }
  return static_cast<double>(repeated) / static_cast<double>(all);
}

double hit_rate(const Measurement& m) {
  return m.prefix_query_tokens == 0 ? 0
                                    : static_cast<double>(m.prefix_hit_tokens) /
                                          static_cast<double>(m.prefix_query_tokens);
}

}  // namespace

Report compare_policies(const Setting& setting) {
  Report report = begin_report(setting, "The same requests in the same memory");
  const std::vector<NamedRun> runs = run_policies(setting);
  tabulate_policies(report, runs, setting.workload);
  chart_policies(report, runs, setting.workload);
  report.notes = {
      "tokens, later, never, rest: slots of the whole memory that hold a token; that are taken and "
      "will hold one; that are taken and never will; that are free, or lost where a buddy "
      "allocator "
      "rounds up. of taken: tokens as a share of the taken slots.",
      fmt::format("longest, power of two, true length: one contiguous range for each request, "
                  "placed by a buddy allocator (the paper's Orca Max, Pow2 and Oracle). blocks: of "
                  "{} tokens, taken as a sequence grows.",
                  setting.block_size),
      kMeasured};
  if (published_batch(setting.workload) != nullptr) report.notes.emplace_back(kPaper);
  for (const auto& [name, m] : runs) {
    count_run(report, m, name);
    note_refused(report, m.refused, name);
  }
  return report;
}

Report compare_block_sizes(const Setting& setting) {
  Report report = begin_report(setting, "What the block size costs");
  report.table.columns = {{"block_size", "block size"},
                          {"tokens_percent", "tokens %"},
                          {"tokens_of_taken_percent", "of taken %"},
                          {"rest_percent", "free %"},
                          {"batch_requests", "batch"},
                          {"output_tokens_per_s", "tokens/s"},
                          {"preemptions", "preempted"}};
  Chart memory{.kind = Chart::Kind::lines,
               .title = "Slots that hold tokens",
               .label_title = "tokens per block",
               .series = {{"of the blocks taken", {}}, {"of the whole memory", {}}},
               .unit = "%",
               .maximum = 100};
  Chart batch{.kind = Chart::Kind::lines,
              .title = "Requests in the batch",
              .label_title = "tokens per block",
              .series = {{"requests", {}}}};
  report.notes = {
      "tokens: slots of the whole memory that hold a token. of taken: of the slots in blocks that "
      "somebody holds; what is missing to 100 is the empty end of last blocks. free: blocks that "
      "nobody holds, kept back so that running sequences can grow or too few for the next prompt.",
      kMeasured};
  int64_t refused = 0;
  for (int32_t size = 1; size <= 256; size *= 2) {
    Paging paging = paging_of(setting);
    paging.block_size = size;
    const Measurement m = run_paged(setting.machine, setting.workload, paging);
    report.table.rows.push_back({Number{static_cast<double>(size), 0}, percent(m.tokens),
                                 percent(m.tokens_of_taken), percent(m.rest),
                                 Number{m.batch_requests, 2}, Number{m.output_tokens_per_s, 0},
                                 Number{static_cast<double>(m.preemptions), 0}});
    for (Chart* chart : {&memory, &batch}) chart->labels.push_back(std::to_string(size));
    memory.series[0].values.push_back(m.tokens_of_taken * 100);
    memory.series[1].values.push_back(m.tokens * 100);
    batch.series[0].values.push_back(m.batch_requests);
    count_run(report, m, fmt::format("blocks of {}", size));
    refused = std::max(refused, m.refused);
  }
  report.charts = {memory, batch};
  note_refused(report, refused, "any size");
  return report;
}

Report compare_sharing(const Setting& setting) {
  Report report = begin_report(setting, "Blocks saved by sharing");
  report.table.columns = {{"kind", "requests"},
                          {"saved_percent", "saved %"},
                          {"paper_saved_percent", "paper %"},
                          {"batch_requests", "batch"},
                          {"output_tokens_per_s", "tokens/s"},
                          {"preemptions", "preempted"}};
  const bool is_sharegpt = setting.workload.name == kShareGpt.name;
  const bool is_published = is_sharegpt || setting.workload.name == kAlpaca.name;
  Chart chart{.title = "Blocks saved, of those that would be taken without sharing",
              .series = {{"simulated", {}}, {"paper", {}}},
              .unit = "%",
              .decimals = 1};
  report.notes = {
      "saved: one less the blocks taken as a share of those in all block tables together.",
      "samples: outputs of one prompt, all as long as the request says. beams: after each step "
      "every "
      "beam of the next one goes on from one of this step's, drawn with equal chances; those that "
      "nobody goes on from are over.",
      kMeasured};
  if (is_published) report.notes.emplace_back(kPaper);
  const auto add = [&](const std::string& name, const Paging& paging, double published_percent) {
    const Measurement m = run_paged(setting.machine, setting.workload, paging);
    if (!is_published) published_percent = paper::kMissing;
    report.table.rows.push_back({name, percent(m.saved_by_sharing), published(published_percent, 1),
                                 Number{m.batch_requests, 2}, Number{m.output_tokens_per_s, 0},
                                 Number{static_cast<double>(m.preemptions), 0}});
    chart.labels.push_back(name);
    chart.series[0].values.push_back(m.saved_by_sharing * 100);
    chart.series[1].values.push_back(or_none(published_percent));
    count_run(report, m, name);
  };
  constexpr std::array<int32_t, 3> kWidths = {2, 4, 6};
  const paper::Savings& parallel = is_sharegpt ? paper::kShareGptParallel : paper::kAlpacaParallel;
  const paper::Savings& beam = is_sharegpt ? paper::kShareGptBeam : paper::kAlpacaBeam;
  for (size_t i = 0; i < kWidths.size(); ++i) {
    Paging paging = paging_of(setting);
    paging.outputs = kWidths[i];
    add(fmt::format("{} samples", kWidths[i]), paging, parallel[i]);
  }
  for (size_t i = 0; i < kWidths.size(); ++i) {
    Paging paging = paging_of(setting);
    paging.beams = kWidths[i];
    add(fmt::format("{} beams", kWidths[i]), paging, beam[i]);
  }
  if (!is_published) chart.series.pop_back();
  report.charts = {chart};
  return report;
}

Result<Report> compare_pool_sizes(const Setting& setting) {
  const auto is_named = [](const Request& request) { return !request.pieces.empty(); };
  if (std::ranges::none_of(setting.workload.requests, is_named)) {
    return invalid_input("{}: does not say which prompts begin alike, so nothing can be found",
                         setting.workload.name);
  }
  Report report = begin_report(setting, "Prompt tokens found in the cache");
  const int64_t host_bytes = setting.machine.host_memory_bytes;
  const double best = repeated_share(setting.workload) * 100;
  report.notes = {
      fmt::format("found: prompt tokens whose K and V were in the cache when their request was "
                  "admitted. {:.1f} % of them begin a prompt as an earlier one does, which a cache "
                  "that never forgets would find.",
                  best),
      "What was generated is never found: the trace does not name its text."};
  report.table.columns = {{"memory_gib", "GiB"},
                          {"tokens", "tokens"},
                          {"hit_percent", "found %"},
                          {"batch_requests", "batch"},
                          {"output_tokens_per_s", "tokens/s"},
                          {"refused", "refused"}};
  Chart chart{.kind = Chart::Kind::lines,
              .title = "Prompt tokens found in the cache",
              .label_title = "memory for K and V, GiB",
              .series = {{"found", {}}},
              .unit = "%"};
  if (host_bytes > 0) {
    report.table.columns.insert(
        report.table.columns.end(),
        {{"host_hit_percent", "with host %"}, {"host_output_tokens_per_s", "tokens/s"}});
    chart.series.push_back({fmt::format("with {:g} GiB of the host's", gib(host_bytes)), {}});
  }
  for (int32_t part = 32; part >= 1; part /= 2) {
    Machine machine = setting.machine;
    machine.memory_bytes /= part;
    machine.host_memory_bytes = 0;
    const Measurement m = run_paged(machine, setting.workload, paging_of(setting));
    std::vector<Cell>& row = report.table.rows.emplace_back();
    row = {Number{gib(machine.memory_bytes), 1},
           Number{static_cast<double>(machine.slots()), 0},
           percent(hit_rate(m)),
           Number{m.batch_requests, 2},
           Number{m.output_tokens_per_s, 0},
           Number{static_cast<double>(m.refused), 0}};
    chart.labels.push_back(fmt::format("{:g}", gib(machine.memory_bytes)));
    chart.series[0].values.push_back(hit_rate(m) * 100);
    count_run(report, m, fmt::format("{:g} GiB", gib(machine.memory_bytes)));
    if (host_bytes == 0) continue;
    machine.host_memory_bytes = host_bytes;
    const Measurement hosted = run_paged(machine, setting.workload, paging_of(setting));
    row.insert(row.end(), {percent(hit_rate(hosted)), Number{hosted.output_tokens_per_s, 0}});
    chart.series[1].values.push_back(hit_rate(hosted) * 100);
    count_run(report, hosted, fmt::format("{:g} GiB and the host's", gib(machine.memory_bytes)));
  }
  chart.series.push_back({"repeated at all", std::vector<double>(chart.labels.size(), best)});
  report.charts = {chart};
  return report;
}

}  // namespace octavo::simulate
