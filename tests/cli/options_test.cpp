#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "cli/engine_options.h"
#include "cli/sampling_options.h"

namespace octavo::cli {
namespace {

// What the flags make of a config and parameters; `error` is what the parser says.
struct Parsed {
  EngineConfig config;
  SamplingParams sampling;
  std::string error;
};

Parsed parse(std::vector<std::string> arguments) {
  Parsed parsed;
  CLI::App app;
  add_engine_options(app, parsed.config);
  add_sampling_options(app, parsed.sampling);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    parsed.error = error.what();
  }
  return parsed;
}

TEST(EngineOptions, SetEverySetting) {
  const Parsed parsed = parse({"--threads",
                               "3",
                               "--context",
                               "100",
                               "--kv-dtype",
                               "f32",
                               "--kv-memory",
                               "2GiB",
                               "--block-size",
                               "32",
                               "--batch-tokens",
                               "64",
                               "--max-sequences",
                               "9",
                               "--max-queued",
                               "10",
                               "--no-prefix-cache",
                               "--kv-idle-seconds",
                               "5",
                               "--device",
                               "cpu",
                               "m.gguf"});
  ASSERT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.config.model_path, "m.gguf");
  EXPECT_EQ(parsed.config.threads, 3);
  EXPECT_EQ(parsed.config.context_length, 100);
  EXPECT_EQ(parsed.config.kv_dtype, "f32");
  EXPECT_EQ(parsed.config.kv_memory_bytes, int64_t{2} << 30);
  EXPECT_EQ(parsed.config.block_size, 32);
  EXPECT_EQ(parsed.config.batch_tokens, 64);
  EXPECT_EQ(parsed.config.max_sequences, 9);
  EXPECT_EQ(parsed.config.max_queued, 10);
  EXPECT_FALSE(parsed.config.prefix_cache);
  EXPECT_EQ(parsed.config.kv_idle_seconds, 5);
  EXPECT_EQ(parse({"--kv-memory", "auto", "m"}).config.kv_memory_bytes, 0);
  EXPECT_TRUE(parse({"--prefix-cache", "m"}).config.prefix_cache);
}

TEST(EngineOptions, ThereIsAFlagForEachOfTheList) {
  EngineConfig config;
  CLI::App app;
  add_engine_options(app, config);
  visit_config(config, [&app](const ConfigField& field, const auto&) {
    EXPECT_NE(app.get_option_no_throw(std::string("--") + field.name), nullptr) << field.name;
  });
}

TEST(SamplingOptions, SetEveryParameter) {
  const Parsed parsed = parse({"--temperature",
                               "0.5",
                               "--top-k",
                               "40",
                               "--top-p",
                               "0.9",
                               "--min-p",
                               "0.1",
                               "--typical-p",
                               "0.8",
                               "--repetition-penalty",
                               "1.1",
                               "--frequency-penalty=-1",
                               "--presence-penalty",
                               "1",
                               "--logit-bias",
                               "3=-1.5",
                               "--logit-bias",
                               "4=2",
                               "--seed",
                               "18446744073709551615",
                               "--max-tokens",
                               "7",
                               "--min-tokens",
                               "2",
                               "--ignore-eos",
                               "--stop",
                               "a b",
                               "--stop",
                               "c",
                               "--stop-token-ids",
                               "5",
                               "--logprobs",
                               "1",
                               "m.gguf"});
  ASSERT_EQ(parsed.error, "");
  const SamplingParams& sampling = parsed.sampling;
  EXPECT_EQ(parsed.config.model_path, "m.gguf");
  EXPECT_EQ(sampling.temperature, 0.5F);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_EQ(sampling.top_p, 0.9F);
  EXPECT_EQ(sampling.min_p, 0.1F);
  EXPECT_EQ(sampling.typical_p, 0.8F);
  EXPECT_EQ(sampling.repetition_penalty, 1.1F);
  EXPECT_EQ(sampling.frequency_penalty, -1.0F);
  EXPECT_EQ(sampling.presence_penalty, 1.0F);
  ASSERT_EQ(sampling.logit_bias.size(), 2u);
  EXPECT_EQ(sampling.logit_bias[0].token, 3);
  EXPECT_EQ(sampling.logit_bias[0].bias, -1.5F);
  EXPECT_EQ(sampling.seed, ~uint64_t{0});
  EXPECT_EQ(sampling.max_tokens, 7);
  EXPECT_EQ(sampling.min_tokens, 2);
  EXPECT_TRUE(sampling.ignore_eos);
  EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a b", "c"}));
  EXPECT_EQ(sampling.stop_token_ids, std::vector<int32_t>{5});
  EXPECT_EQ(sampling.logprobs, 1);
}

TEST(SamplingOptions, ARepeatedFlagTakesOneValueAtATime) {
  const Parsed parsed = parse({"--stop", "a", "m.gguf"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.config.model_path, "m.gguf");
  EXPECT_FALSE(parsed.sampling.seed.has_value());
}

TEST(Options, ErrorsNameTheFlag) {
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--kv-memory", "lots"},
                                                        {"--threads", "two"},
                                                        {"--top-k", "1.5"},
                                                        {"--temperature", "warm"},
                                                        {"--seed", "-1"},
                                                        {"--logit-bias", "3"},
                                                        {"--logit-bias", "3=x"},
                                                        {"--stop-token-ids", "x"}}) {
    const std::string error = parse({flag + "=" + value, "m"}).error;
    EXPECT_NE(error.find(flag), std::string::npos) << flag << " " << value << ": " << error;
  }
}

TEST(Options, WithoutAModelTheBuiltInOneIsMeant) {
  EXPECT_EQ(parse({"--threads", "1"}).config.model_path, "builtin");
}

}  // namespace
}  // namespace octavo::cli
