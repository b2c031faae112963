#include "simulate/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "simulate/lengths.h"

namespace octavo::simulate {
namespace {

Setting setting_of(const MeanLengths& lengths) {
  return {.machine = {.group_token_bytes = 800 << 10,
                      .memory_bytes = int64_t{4} << 30,
                      .context_length = 2048,
                      .batch_tokens = 2048,
                      .max_sequences = 1024},
          .workload = draw_workload(lengths, 100, 2048, 5).value(),
          .seed = 5};
}

std::string column_of(const Report& report, const char* key) {
  std::string cells;
  const auto rows = to_json(report.table);
  for (const auto& row : rows) cells += row.contains(key) ? row[key].dump() + " " : "missing ";
  return cells;
}

TEST(Comparison, OfPoliciesHasARowForEach) {
  const Report report = compare_policies(setting_of(kShareGpt));
  EXPECT_EQ(column_of(report, "policy"), R"("longest" "power of two" "true length" "blocks" )");
  EXPECT_EQ(column_of(report, "paper_tokens_percent"), "20.4 26.8 38.2 96.3 ");
  EXPECT_EQ(report.charts.size(), 3u);
  EXPECT_TRUE(report.workload.starts_with("sharegpt: 100 requests, ")) << report.workload;
  EXPECT_EQ(report.machine, "4 GiB for K and V hold 5,242 tokens of 800 KiB; context 2,048");
  EXPECT_GT(report.sequence_steps, 4 * 100);
}

TEST(Comparison, ShowsThePaperOnlyBesideItsOwnData) {
  Setting setting = setting_of(kAlpaca);
  EXPECT_EQ(column_of(compare_policies(setting), "paper_tokens_percent"),
            "missing missing missing missing ");
  EXPECT_EQ(column_of(compare_policies(setting), "paper_batch_requests"),
            "7.0 43.24 72.75 132.44 ");
  setting.workload.name = "trace.csv";
  EXPECT_EQ(column_of(compare_policies(setting), "paper_batch_requests"),
            "missing missing missing missing ");
}

TEST(Comparison, OfBlockSizesGoesFrom1To256) {
  const Report report = compare_block_sizes(setting_of(kShareGpt));
  EXPECT_EQ(column_of(report, "block_size"), "1.0 2.0 4.0 8.0 16.0 32.0 64.0 128.0 256.0 ");
  const auto rows = to_json(report.table);
  for (size_t i = 1; i < rows.size(); ++i) {
    EXPECT_LT(rows[i]["tokens_of_taken_percent"], rows[i - 1]["tokens_of_taken_percent"]);
  }
}

TEST(Comparison, OfSharingSavesMoreWithMoreOutputs) {
  const Report report = compare_sharing(setting_of(kShareGpt));
  EXPECT_EQ(column_of(report, "kind"),
            R"("2 samples" "4 samples" "6 samples" "2 beams" "4 beams" "6 beams" )");
  EXPECT_EQ(column_of(report, "paper_saved_percent"), "16.2 null 30.5 44.3 null 66.3 ");
  const auto rows = to_json(report.table);
  EXPECT_GT(rows[0]["saved_percent"], 0);
  for (const size_t i : {1, 2, 4, 5}) {
    EXPECT_LT(rows[i - 1]["saved_percent"], rows[i]["saved_percent"]) << i;
  }
}

TEST(Comparison, OfPoolSizesNeedsNamedText) {
  Setting setting = setting_of(kAlpaca);
  const Result<Report> refused = compare_pool_sizes(setting);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "alpaca: does not say which prompts begin alike, so nothing can be found");
}

TEST(Comparison, OfPoolSizesFindsMoreInMoreMemory) {
  Setting setting = setting_of(kAlpaca);
  setting.machine.memory_bytes *= 4;
  // Ten texts in turn, again and again.
  for (size_t i = 0; i < setting.workload.requests.size(); ++i) {
    Request& request = setting.workload.requests[i];
    request.prompt_length = 512;
    request.pieces = {static_cast<int32_t>(i % 10)};
  }
  const Result<Report> report = compare_pool_sizes(setting);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->charts[0].series.size(), 2u);
  const auto rows = to_json(report->table);
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0]["memory_gib"], 0.5);
  EXPECT_EQ(rows[5]["memory_gib"], 16.0);
  EXPECT_LT(rows[0]["hit_percent"], rows[5]["hit_percent"]);
  // 90 of 100 prompts were there before; each but its last token could be found.
  EXPECT_NE(report->notes[0].find("89.8 %"), std::string::npos) << report->notes[0];
  EXPECT_LE(rows[5]["hit_percent"], 89.9);
  EXPECT_GT(rows[5]["hit_percent"], 80);
}

TEST(Comparison, OfPoolSizesShowsWhatTheHostsMemoryAdds) {
  Setting setting = setting_of(kAlpaca);
  for (size_t i = 0; i < setting.workload.requests.size(); ++i) {
    setting.workload.requests[i].prompt_length = 512;
    setting.workload.requests[i].pieces = {static_cast<int32_t>(i % 10)};
  }
  setting.machine.memory_bytes = int64_t{16} << 30;
  setting.machine.host_memory_bytes = int64_t{16} << 30;
  const Result<Report> report = compare_pool_sizes(setting);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->machine,
            "16 GiB for K and V hold 20,971 tokens of 800 KiB, 16 GiB of the host's for what "
            "leaves them; context 2,048");
  ASSERT_EQ(report->charts[0].series.size(), 3u);
  EXPECT_EQ(report->charts[0].series[1].name, "with 16 GiB of the host's");
  const auto rows = to_json(report->table);
  EXPECT_GT(rows[0]["host_hit_percent"].get<double>(), rows[0]["hit_percent"].get<double>() + 20);
}

TEST(Comparison, RepeatsItself) {
  const Report one = compare_policies(setting_of(kShareGpt));
  const Report two = compare_policies(setting_of(kShareGpt));
  EXPECT_EQ(format_table(one.table), format_table(two.table));
  EXPECT_EQ(draw_svg(one.title, {}, one.charts), draw_svg(two.title, {}, two.charts));
}

TEST(Comparison, SaysWhatWasNotMeasured) {
  Setting setting = setting_of(kAlpaca);
  setting.machine.memory_bytes = int64_t{40} << 30;
  const std::string note =
      "blocks: too few requests to keep this memory full: nothing was measured.";
  EXPECT_EQ(std::ranges::count(compare_policies(setting).notes, note), 1);
  const std::string of_sharing =
      "2 samples: too few requests to keep this memory full: nothing was measured.";
  EXPECT_EQ(std::ranges::count(compare_sharing(setting).notes, of_sharing), 1);
  setting.machine.memory_bytes = int64_t{1} << 30;
  EXPECT_EQ(std::ranges::count(compare_policies(setting).notes, note), 0);
}

TEST(Comparison, SaysWhatWasRefused) {
  Setting setting = setting_of(kAlpaca);
  setting.workload.requests[7].prompt_length = 3000;
  const Report report = compare_policies(setting);
  EXPECT_EQ(report.notes.back(),
            "blocks: requests longer than the context or than the memory, and refused: 1.");
}

}  // namespace
}  // namespace octavo::simulate
