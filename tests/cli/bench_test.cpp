// octavo bench latency and throughput: what a model costs, the arithmetic of the table, the probe,
// and requests on an engine in this process.
#include <gtest/gtest.h>

#include "backend/create_backend.h"
#include "cli/bench_latency.h"
#include "cli/bench_run.h"
#include "cli/random_model.h"
#include "gguf/file.h"

namespace octavo::cli {
namespace {

ModelCost cost_of_test_model(DType kv_type) {
  gguf::Writer writer;
  add_random_model(writer, find_preset("test").value(), find_type_mix("Q4_0").value(), 1);
  const auto bytes = writer.bytes();
  const auto file = gguf::File::parse("test", bytes.data(), bytes.size());
  return read_model_cost(file.value(), kv_type).value();
}

TEST(ModelCost, CountsMatricesByWhatTheyAreMultipliedWith) {
  const ModelCost cost = cost_of_test_model(DType::f16);
  // Two layers: Q and the output [256, 256], K and V [128, 256], three of [512, 256].
  EXPECT_EQ(cost.layer_parameters, 2 * (2 * 65536 + 2 * 32768 + 3 * 131072));
  EXPECT_EQ(cost.output_parameters, 512 * 256);
  // 32 weights in 18 bytes; the table of embeddings is not read as a whole.
  EXPECT_EQ(cost.weight_bytes, (cost.layer_parameters + cost.output_parameters) / 32 * 18);
  EXPECT_EQ(cost.head_values, 256);
}

TEST(ModelCost, ARequestsLastTokenIsDrawnAndNotComputed) {
  const ModelCost cost = cost_of_test_model(DType::f16);
  // 12 tokens are computed and see 1 + ... + 12 = 78 positions in each of two layers.
  EXPECT_EQ(cost.operations(10, 3),
            2 * cost.layer_parameters * 12 + 2 * cost.output_parameters * 3 + 4 * 256 * 2 * 78.0);
  // The last two see 11 and 12 positions, of 2 layers * 2 heads * 64 * (K and V) * 2 bytes.
  EXPECT_EQ(cost.decode_kv_bytes(10, 3), (11 + 12) * 1024.0);
  EXPECT_EQ(cost_of_test_model(DType::f32).decode_kv_bytes(10, 3), (11 + 12) * 2048.0);
  EXPECT_EQ(cost.decode_kv_bytes(10, 1), 0);
}

TEST(ModelCost, AWindowLimitsWhatIsSeen) {
  ModelCost cost;
  cost.head_values = 8;
  cost.kv.layer_windows = {4, 0};
  cost.kv.window = 4;
  cost.kv.windowed_bytes_per_token = 10;
  cost.kv.global_bytes_per_token = 1;
  // Positions 1 to 12: 1 + 2 + 3 + 4 + 8 * 4 = 42 within the window, 78 without.
  EXPECT_EQ(cost.operations(10, 3), 4 * 8 * (42 + 78.0));
  EXPECT_EQ(cost.decode_kv_bytes(10, 3), 10 * (4 + 4) + (11 + 12.0));
}

TEST(Latency, TheMedianOfAnEvenNumberIsBetween) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median({}), 0);
}

nlohmann::ordered_json latency_json(const LatencyShape& shape) {
  ModelCost cost;
  cost.weight_bytes = 4e6;
  cost.layer_parameters = 1e6;
  cost.kv.global_bytes_per_token = 1000;
  const DeviceProbe probe = {.copy_bytes_per_s = 1e9, .product_operations_per_s = 1e9};
  const std::vector<LatencySample> samples = {
      {.first_token_s = 0.1, .prompts_s = 0.2, .token_s = 0.02},
      {.first_token_s = 0.3, .prompts_s = 0.4, .token_s = 0.01},
      {.first_token_s = 0.2, .prompts_s = 0.5, .token_s = 0.04}};
  simulate::Table table = latency_table();
  table.rows.push_back(latency_row(shape, samples, cost, probe));
  return simulate::to_json(table)[0];
}

TEST(Latency, ARowHasMediansAndShares) {
  const auto row = latency_json({.batch_size = 2, .input_tokens = 50, .output_tokens = 3});
  EXPECT_EQ(row["batch_size"], 2);
  EXPECT_DOUBLE_EQ(row["first_token_ms"], 200);
  EXPECT_DOUBLE_EQ(row["prompt_tokens_per_second"], 2 * 50 / 0.4);
  EXPECT_DOUBLE_EQ(row["prompt_gflops"], 2 * 2e6 * 50 / 0.4 / 1e9);
  EXPECT_DOUBLE_EQ(row["prompt_percent_of_product"], 50);
  EXPECT_DOUBLE_EQ(row["token_ms"], 20);
  EXPECT_DOUBLE_EQ(row["decode_tokens_per_second"], 100);
  // A step reads the weights once, and 51.5 positions of each of the two on average.
  EXPECT_DOUBLE_EQ(row["decode_gb_per_second"], (4e6 + 2 * 51.5 * 1000) / 0.02 / 1e9);
  EXPECT_DOUBLE_EQ(row["decode_percent_of_copy"], (4e6 + 2 * 51.5 * 1000) / 0.02 / 1e7);
  EXPECT_DOUBLE_EQ(row["spread_percent"], 150);
}

TEST(Latency, WithOneTokenThereIsNothingToSayOfDecoding) {
  const auto row = latency_json({.batch_size = 2, .input_tokens = 50, .output_tokens = 1});
  EXPECT_DOUBLE_EQ(row["first_token_ms"], 200);
  EXPECT_TRUE(row["token_ms"].is_null());
  EXPECT_TRUE(row["spread_percent"].is_null());
}

TEST(DeviceProbe, MeasuresWhatAnyMachineAttains) {
  const auto backend = create_backend({.threads = 1});
  ASSERT_TRUE(backend.ok()) << backend.error().message;
  const auto probe = probe_device(**backend);
  ASSERT_TRUE(probe.ok()) << probe.error().message;
  // No machine is slower than this, nor faster than a thousand of the fastest devices.
  EXPECT_GT(probe->copy_bytes_per_s, 1e6);
  EXPECT_LT(probe->copy_bytes_per_s, 1e16);
  EXPECT_GT(probe->product_operations_per_s, 1e6);
  EXPECT_LT(probe->product_operations_per_s, 1e18);
}

TEST(RunRequests, AnswersAllAtOnceAndSaysWhatFailed) {
  const auto engine =
      Engine::create({.model_path = OCTAVO_TEST_DATA "/golden/llama.gguf", .threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  auto plan =
      plan_shared_prefix({.requests = 5, .shared_tokens = 0, .own_tokens = 12, .output_tokens = 6},
                         (*engine)->model().vocabulary, 1);
  const auto records = run_requests(**engine, plan);
  ASSERT_EQ(records.size(), 5u);
  for (const RequestRecord& record : records) {
    EXPECT_EQ(record.error, "");
    EXPECT_EQ(record.prompt_tokens, 12);
    EXPECT_EQ(record.output_tokens, 6);
    EXPECT_LE(record.asked_s, record.first_s);
    EXPECT_LT(record.first_s, record.last_s) << "even where one event brought all";
    EXPECT_LE(record.gaps_s.size(), 5u);
  }
  EXPECT_TRUE(check_all_answered(records).ok());

  plan[3].output_tokens = 1'000'000;
  const auto with_failure = run_requests(**engine, plan);
  EXPECT_EQ(with_failure[2].output_tokens, 6);
  EXPECT_EQ(check_all_answered(with_failure).error().message,
            "a request failed: " + with_failure[3].error);
  EXPECT_NE(with_failure[3].error, "");
}

// So that the second pass of `octavo bench latency` measures decoding alone.
TEST(RunRequests, FindsThePromptsOfAnEarlierPass) {
  const auto engine =
      Engine::create({.model_path = OCTAVO_TEST_DATA "/golden/llama.gguf", .threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const auto plan =
      plan_shared_prefix({.requests = 2, .shared_tokens = 0, .own_tokens = 21, .output_tokens = 1},
                         (*engine)->model().vocabulary, 1);
  EXPECT_EQ(run_requests(**engine, plan)[1].cached_tokens, 0);
  EXPECT_EQ(run_requests(**engine, plan)[1].cached_tokens, 20);
}

}  // namespace
}  // namespace octavo::cli
