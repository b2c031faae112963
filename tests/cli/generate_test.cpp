#include "cli/generate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/engine_ahead.h"

namespace octavo::cli {
namespace {

using Json = nlohmann::json;

EngineConfig tiny_config() {
  EngineConfig config;
  config.model_path = golden_model("llama");
  config.threads = 2;
  return config;
}

Prompt prompt(const std::string& text, int32_t max_tokens, int32_t outputs = 1) {
  Prompt made;
  made.text = text;
  made.outputs = outputs;
  made.sampling.max_tokens = max_tokens;
  made.sampling.seed = 5;
  made.sampling.ignore_eos = true;
  return made;
}

struct Generated {
  GenerateReport report;
  std::vector<Json> lines;
};

Generated run(Engine& engine, const std::vector<Prompt>& prompts, const GenerateOptions& options,
              bool interrupted = false) {
  const Interrupt interrupt;
  if (interrupted) std::raise(SIGINT);
  Generated out;
  const auto write = [&out](const std::string& line) {
    EXPECT_TRUE(line.ends_with('\n'));
    out.lines.push_back(Json::parse(line));
    return Result<void>();
  };
  const Result<GenerateReport> report = generate(engine, prompts, options, interrupt, write);
  EXPECT_TRUE(report.ok());
  out.report = *report;
  return out;
}

TEST(Generate, AnswersInOrderAndAsEachPromptAlone) {
  auto engine = make_engine(tiny_config());
  std::vector<Prompt> prompts;
  for (int32_t i = 0; i < 20; ++i) {
    // The first ones take longest, so that the others are complete before their turn.
    prompts.push_back(prompt("hello " + std::to_string(i), 40 - i, i % 3 + 1));
  }
  const Generated all = run(*engine, prompts, {.most_at_once = 7});
  ASSERT_EQ(all.lines.size(), prompts.size());
  EXPECT_EQ(all.report.done, 20);
  EXPECT_EQ(all.report.failed, 0);
  int64_t tokens = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Json& line = all.lines[i];
    EXPECT_EQ(line["index"], i);
    ASSERT_EQ(line["outputs"].size(), i % 3 + 1);
    Request request;
    request.prompt = *engine->tokenize(prompts[i].text, {});
    request.sampling = prompts[i].sampling;
    request.outputs = prompts[i].outputs;
    const std::vector<OutputRecord> alone = run_to_end(*engine, request);
    for (size_t k = 0; k < alone.size(); ++k) {
      EXPECT_EQ(line["outputs"][k]["text"], alone[k].text);
      EXPECT_EQ(line["outputs"][k]["tokens"], 40 - i);
      EXPECT_EQ(line["outputs"][k]["finish_reason"], "length");
      EXPECT_FALSE(line["outputs"][k].contains("logprobs"));
      tokens += static_cast<int64_t>(40 - i);
    }
  }
  EXPECT_EQ(all.report.tokens, tokens);
}

TEST(Generate, WritesARefusalInItsPlaceAndGoesOn) {
  auto engine = make_engine(tiny_config());
  const Generated out = run(*engine, {prompt("a", 4), prompt("b", 100'000), prompt("c", 4)}, {});
  ASSERT_EQ(out.lines.size(), 3u);
  EXPECT_EQ(out.report.done, 3);
  EXPECT_EQ(out.report.failed, 1);
  EXPECT_TRUE(out.lines[0].contains("outputs"));
  EXPECT_NE(out.lines[1]["error"].get<std::string>().find("100000 to generate"), std::string::npos);
  EXPECT_TRUE(out.lines[2].contains("outputs"));
}

TEST(Generate, GivesLogprobsWhereAsked) {
  auto engine = make_engine(tiny_config());
  Prompt asked = prompt("a", 3);
  asked.sampling.logprobs = 2;
  const Generated out = run(*engine, {asked}, {});
  ASSERT_EQ(out.lines.size(), 1u);
  const Json& logprobs = out.lines[0]["outputs"][0]["logprobs"];
  ASSERT_EQ(logprobs.size(), 3u);
  EXPECT_EQ(logprobs[0]["top"].size(), 2u);
  EXPECT_LE(logprobs[0]["logprob"].get<double>(), logprobs[0]["top"][0]["logprob"].get<double>());
}

TEST(Generate, GivesTheScoresOfABeamSearch) {
  auto engine = make_engine(tiny_config());
  Prompt asked = prompt("a", 3, 2);
  asked.beam = BeamParams{.width = 3};
  const Generated out = run(*engine, {asked, prompt("a", 3)}, {});
  ASSERT_EQ(out.lines.size(), 2u);
  const Json& outputs = out.lines[0]["outputs"];
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_GT(outputs[0]["score"].get<double>(), outputs[1]["score"].get<double>());
  EXPECT_FALSE(out.lines[1]["outputs"][0].contains("score"));
}

TEST(Generate, WaitsWhereTheQueueIsShort) {
  EngineConfig config = tiny_config();
  config.max_queued = 1;
  config.max_sequences = 1;
  auto engine = make_engine(config);
  const std::vector<Prompt> prompts(12, prompt("a", 5));
  const Generated out = run(*engine, prompts, {.most_at_once = 100});
  EXPECT_EQ(out.lines.size(), 12u);
  EXPECT_EQ(out.report.failed, 0);
}

TEST(Generate, UsesTheChatTemplateWhereAsked) {
  auto engine = make_engine(tiny_config());
  Prompt chat = prompt("", 5);
  chat.messages = {{"user", "hello"}};
  const Generated messages = run(*engine, {chat}, {});
  const Generated flag = run(*engine, {prompt("hello", 5)}, {.chat = true});
  const Generated plain = run(*engine, {prompt("hello", 5)}, {});
  EXPECT_EQ(messages.lines[0]["outputs"], flag.lines[0]["outputs"]);
  EXPECT_NE(messages.lines[0]["outputs"], plain.lines[0]["outputs"]);
}

TEST(Generate, AnInterruptStopsIt) {
  auto engine = make_engine(tiny_config());
  const std::vector<Prompt> prompts(50, prompt("a", 1000));
  const Generated out = run(*engine, prompts, {}, /*interrupted=*/true);
  EXPECT_TRUE(out.lines.empty());
  EXPECT_EQ(out.report.done, 0);
}

TEST(Generate, StopsWhereResultsCannotBeWritten) {
  auto engine = make_engine(tiny_config());
  const Interrupt interrupt;
  const std::vector<Prompt> prompts(5, prompt("a", 4));
  const auto report =
      generate(*engine, prompts, {}, interrupt, [](const std::string&) -> Result<void> {
        return Error{ErrorKind::io, "full"};
      });
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message, "full");
}

TEST(Generate, APromptForWhichThereIsNoMemoryFailsAlone) {
  auto engine =
      make_engine_of_blocks(tiny_config(), /*runs_ahead=*/false, std::make_shared<BlockLimit>(2));
  const Generated all =
      run(*engine, {prompt("hello", 4), prompt("hello", 60, 2), prompt("hello", 5)}, {});
  EXPECT_EQ(all.report.done, 3);
  EXPECT_EQ(all.report.failed, 1);
  EXPECT_FALSE(all.lines[0].contains("error"));
  EXPECT_EQ(all.lines[1]["error"],
            "the device has no memory left for the KV cache: other programs took it");
  ASSERT_EQ(all.lines[1]["outputs"].size(), 2);
  for (const Json& output : all.lines[1]["outputs"]) {
    EXPECT_EQ(output["finish_reason"], "no_memory");
  }
  EXPECT_FALSE(all.lines[2].contains("error"));
}

}  // namespace
}  // namespace octavo::cli
