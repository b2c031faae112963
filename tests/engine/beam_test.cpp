// Beam search: the same beams as a plain search that computes everything again, and as another
// implementation's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <tuple>

#include "engine_run.h"

namespace octavo {
namespace {

struct Text {
  std::vector<int32_t> tokens;
  double score = 0.0;

  bool operator==(const Text&) const = default;
};

std::unique_ptr<Engine> engine_on(const std::string& model, bool prefix_cache = true,
                                  const std::string& kv_dtype = "f16") {
  EngineConfig config = golden_config(model);
  config.prefix_cache = prefix_cache;
  config.kv_dtype = kv_dtype;
  return make_engine(config);
}

std::vector<Text> texts_of(Engine& engine, const Request& request) {
  std::vector<Text> texts(static_cast<size_t>(request.outputs));
  auto stream = engine.submit(request);
  if (!stream) {
    ADD_FAILURE() << stream.error().message;
    return texts;
  }
  while (auto event = (*stream)->next()) {
    Text& text = texts.at(static_cast<size_t>(event->output));
    EXPECT_TRUE(text.tokens.empty()) << "more than one event";
    for (const TokenInfo& token : event->tokens) text.tokens.push_back(token.token);
    text.score = event->score;
  }
  return texts;
}

// The log probabilities of every token after a text, computed from nothing.
std::vector<TokenLogprob> next_tokens(Engine& engine, const std::vector<int32_t>& text) {
  Request request;
  request.prompt = text;
  request.sampling.max_tokens = 1;
  request.sampling.temperature = 0.0F;
  request.sampling.logprobs = 100;
  auto stream = engine.submit(request);
  std::vector<TokenLogprob> tops;
  while (auto event = (*stream)->next()) {
    for (const TokenInfo& token : event->tokens) tops = token.top;
  }
  return tops;
}

// The tokens that the golden models' own vocabularies end a text with.
bool ends_generation(int32_t token, const ModelInfo& model) {
  return model.architecture == "qwen3" ? token >= model.vocabulary - 2 : token == 2;
}

// The search as its definition says it: all continuations of all beams in one list.
std::vector<Text> plain_search(Engine& engine, const Request& request) {
  const BeamParams& params = *request.beam;
  const std::vector<int32_t>& ends = request.sampling.stop_token_ids;
  const auto width = static_cast<size_t>(params.width);
  const auto penalised = [&](double sum, size_t length) {
    return sum / std::pow(static_cast<double>(length), static_cast<double>(params.length_penalty));
  };
  std::vector<Text> beams(1);  // with their sums
  std::vector<Text> done;
  const auto most = static_cast<size_t>(request.sampling.max_tokens);
  for (size_t length = 1; length <= most; ++length) {
    std::vector<std::tuple<double, size_t, int32_t>> ways;  // -sum, beam, token
    for (size_t i = 0; i < beams.size(); ++i) {
      std::vector<int32_t> text = request.prompt;
      text.insert(text.end(), beams[i].tokens.begin(), beams[i].tokens.end());
      for (const TokenLogprob& next : next_tokens(engine, text)) {
        if (ends_generation(next.token, engine.model())) continue;  // ignore_eos
        ways.emplace_back(-(beams[i].score + static_cast<double>(next.logprob)), i, next.token);
      }
    }
    std::ranges::sort(ways);
    std::vector<Text> next;
    for (size_t rank = 0; rank < ways.size(); ++rank) {
      const auto [cost, beam, token] = ways[rank];
      Text text = beams[beam];
      text.tokens.push_back(token);
      text.score = -cost;
      const bool ends_here = std::ranges::find(ends, token) != ends.end() || length == most;
      if (!ends_here && next.size() < width) next.push_back(text);
      if (!ends_here || rank >= width) continue;
      text.score = penalised(text.score, length);
      done.push_back(text);
    }
    std::ranges::stable_sort(done, [](const Text& a, const Text& b) { return a.score > b.score; });
    done.resize(std::min(done.size(), width));
    beams = next;
    if (beams.empty()) break;
    if (done.size() < width) continue;
    if (params.early_stopping == EarlyStopping::yes) break;
    const bool longest =
        params.early_stopping == EarlyStopping::never && params.length_penalty > 0.0F;
    if (penalised(beams[0].score, longest ? most : length) <= done.back().score) break;
  }
  return done;
}

class Beams : public testing::TestWithParam<std::string> {};

TEST_P(Beams, EqualAPlainSearchThatComputesEverythingAgain) {
  const auto engine = engine_on(GetParam());
  const auto plain = engine_on(GetParam(), /*prefix_cache=*/false);
  constexpr uint32_t kSeed = 20261125;
  std::mt19937 random(kSeed);
  const auto between = [&random](int32_t low, int32_t high) {
    return low + static_cast<int32_t>(random() % static_cast<uint32_t>(high - low + 1));
  };
  for (int run = 0; run < 12; ++run) {
    Request request;
    request.prompt.resize(static_cast<size_t>(between(1, 40)));
    for (int32_t& token : request.prompt) token = between(3, 283);
    request.beam.emplace();
    request.beam->width = run == 0 ? 16 : between(1, 6);
    request.beam->length_penalty = 0.5F * static_cast<float>(between(-2, 4));
    request.beam->early_stopping = static_cast<EarlyStopping>(between(0, 2));
    request.outputs = request.beam->width;
    request.sampling.max_tokens = between(1, 24);
    request.sampling.ignore_eos = true;
    for (int i = between(0, 12); i > 0; --i) {
      request.sampling.stop_token_ids.push_back(between(3, 283));
    }
    ASSERT_EQ(texts_of(*engine, request), plain_search(*plain, request))
        << "run " << run << " seed " << kSeed;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Beams, testing::Values("llama", "qwen3", "gemma3"),
                         [](const auto& test) { return test.param; });

TEST(BeamSearch, FindsTheTextsOfTransformers) {
  std::ifstream file(std::string(OCTAVO_TEST_DATA) + "/golden/beams.json");
  const auto golden = nlohmann::json::parse(file);
  std::map<std::string, std::unique_ptr<Engine>> engines;
  int compared = 0;
  for (const auto& entry : golden["searches"]) {
    const auto name = entry["model"].get<std::string>();
    auto& engine = engines[name];
    if (engine == nullptr) engine = engine_on(name, /*prefix_cache=*/true, "f32");
    Request request;
    request.prompt = entry["prompt"].get<std::vector<int32_t>>();
    request.beam.emplace();
    request.beam->width = entry["num_beams"];
    request.beam->length_penalty = entry["length_penalty"];
    const auto& early = entry["early_stopping"];
    request.beam->early_stopping = early.is_string()   ? EarlyStopping::never
                                   : early.get<bool>() ? EarlyStopping::yes
                                                       : EarlyStopping::no;
    request.outputs = request.beam->width;
    request.sampling.max_tokens = entry["max_new_tokens"];
    request.sampling.stop_token_ids = entry["end_tokens"].get<std::vector<int32_t>>();
    request.sampling.ignore_eos = true;
    const std::vector<Text> texts = texts_of(*engine, request);
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(texts[i].tokens, entry["texts"][i].get<std::vector<int32_t>>())
          << name << " width " << request.beam->width << " text " << i;
      const auto& score = entry["scores"][i];
      if (score.is_number()) {
        const auto expected = score.get<double>();
        EXPECT_NEAR(texts[i].score, expected, 1e-5 * std::abs(expected));  // float32 arithmetic
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 100);
}

TEST(BeamSearch, TheBestTextsComeInOneEventEach) {
  const auto engine = engine_on("llama");
  Request request;
  request.prompt = {260, 176, 236, 4};
  request.beam = BeamParams{.width = 5};
  request.outputs = 2;
  request.sampling.max_tokens = 8;
  request.sampling.logprobs = 3;
  const auto outputs = run_to_end(*engine, request);
  for (const OutputRecord& output : outputs) {
    EXPECT_NE(output.finish, FinishReason::none);
    EXPECT_FALSE(output.tokens.empty());
    EXPECT_EQ(output.logprobs.size(), output.tokens.size() * 4);
  }
  EXPECT_NE(outputs[0].tokens, outputs[1].tokens);
  EXPECT_EQ(engine->stats().prompt_tokens, 4);  // the prompt is computed once
}

TEST(BeamSearch, RefusesWhatItDoesNotDo) {
  const auto engine = engine_on("llama");
  const auto refusal = [&](auto change) {
    Request request;
    request.prompt = {260, 176};
    request.beam.emplace();
    change(request);
    auto stream = engine->submit(request);
    return stream.ok() ? std::string() : stream.error().message;
  };
  EXPECT_EQ(refusal([](Request& r) { r.beam->width = 17; }),
            "beam_width: 17 is not between 1 and 16");
  EXPECT_EQ(refusal([](Request& r) { r.beam->length_penalty = NAN; }),
            "length_penalty: nan is not in [-100, 100]");
  EXPECT_EQ(refusal([](Request& r) { r.outputs = 5; }), "outputs: 5 of a search with 4 beams");
  EXPECT_EQ(refusal([](Request& r) { r.score_prompt = true; }), "beam_width: 4 of a scored prompt");
  EXPECT_EQ(refusal([](Request& r) { r.sampling.stop = {"x"}; }), "stop: not with a beam search");
  EXPECT_EQ(refusal([](Request& r) { r.sampling.repetition_penalty = 1.1F; }),
            "repetition_penalty: not with a beam search");
  EXPECT_EQ(refusal([](Request& r) { r.sampling.temperature = 0.3F; }), "");
}

TEST(BeamSearch, NamesTheLimitThatKeepsItsBeamsFromRunning) {
  Request request;
  request.prompt = {260, 176};
  request.beam = BeamParams{.width = 8};
  const auto refusal = [&request](int64_t max_sequences, int64_t batch_tokens) {
    EngineConfig config = golden_config("llama");
    config.max_sequences = max_sequences;
    config.batch_tokens = batch_tokens;
    auto stream = make_engine(config)->submit(request);
    return stream.ok() ? std::string() : stream.error().message;
  };
  EXPECT_EQ(refusal(8, 8), "");
  EXPECT_EQ(refusal(7, 8), "beam_width: 8 are more than can run at once; max-sequences is 7");
  EXPECT_EQ(refusal(8, 7), "beam_width: 8 are more than one step computes; batch-tokens is 7");
  request.beam.reset();
  request.outputs = 8;
  EXPECT_EQ(refusal(8, 1), "");
  EXPECT_EQ(refusal(7, 8), "outputs: 8 are more than can run at once; max-sequences is 7");
}

// Parallel sampling: one prefill, whose blocks all outputs share.
TEST(ParallelSampling, ComputesThePromptOnceFor128Outputs) {
  const auto engine = engine_on("llama", /*prefix_cache=*/false);
  Request request;
  for (int32_t token = 10; token < 50; ++token) request.prompt.push_back(token);
  request.outputs = 128;
  request.sampling.max_tokens = 2;
  request.sampling.seed = 1;
  request.sampling.ignore_eos = true;
  const auto outputs = run_to_end(*engine, request);
  for (const OutputRecord& output : outputs) EXPECT_EQ(output.tokens.size(), 2u);
  EXPECT_EQ(engine->stats().prompt_tokens, 40);
}

}  // namespace
}  // namespace octavo
