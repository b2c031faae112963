// Real models, teacher-forced over another implementation's greedy text.
//
// tests/data/golden/*_peer.json has prompts and llama.cpp's greedy continuation; *_reference.json
// has, for every step of the same texts, the two highest logits in exact (float64) arithmetic. The
// models are not in the repository: an environment variable names the file (CONTRIBUTING.md),
// otherwise the test is skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/step_runner.h"

namespace octavo {
namespace {

struct PeerModel {
  const char* variable;  // of the environment: the model's path
  const char* name;      // of the vectors
};

void PrintTo(const PeerModel& model, std::ostream* out) {
  *out << model.name;
}

nlohmann::json load_json(const std::string& name) {
  nlohmann::json json;
  std::ifstream(std::filesystem::path(OCTAVO_TEST_DATA) / "golden" / name) >> json;
  return json;
}

// Logits of every step of the text: after the prompt, then after each token of the output but the
// last.
std::vector<std::vector<float>> teacher_force(StepRunner& runner, std::vector<int32_t> prompt,
                                              const std::vector<int32_t>& output) {
  std::vector<int32_t> last = {prompt.back()};
  prompt.pop_back();
  for (size_t at = 0; at < prompt.size(); at += 64) {  // so that not all logits are kept
    const auto begin = prompt.begin() + static_cast<int64_t>(at);
    const auto end = prompt.begin() + static_cast<int64_t>(std::min(at + 64, prompt.size()));
    runner.run({{0, {begin, end}}});
  }
  last.insert(last.end(), output.begin(), output.end() - 1);
  return runner.run({{0, last}});
}

class PeerText : public testing::TestWithParam<PeerModel> {};

TEST_P(PeerText, ArgmaxAgreesWhereTheMarginExceedsTheError) {
  const char* path = std::getenv(GetParam().variable);
  if (path == nullptr)
    GTEST_SKIP() << GetParam().variable << " does not name the model's GGUF file";
  const nlohmann::json peer = load_json(std::string(GetParam().name) + "_peer.json");
  const nlohmann::json reference = load_json(std::string(GetParam().name) + "_reference.json");
  size_t steps = 0, compared = 0, same_as_exact = 0, same_as_peer = 0;
  double worst_error = 0.0, peer_error = 0.0, squares = 0.0;
  for (size_t e = 0; e < peer.at("entries").size(); ++e) {
    const nlohmann::json& text = peer["entries"][e];
    const nlohmann::json& exact = reference["entries"][e];
    StepRunner runner(path, {.kv_type = DType::f16});
    const auto rows = teacher_force(runner, text.at("prompt_ids"), text.at("output_ids"));
    const nlohmann::json& top_two = exact.at("top_two");
    ASSERT_EQ(rows.size(), top_two.size());
    // The error on this text: the furthest of the two leading logits of any step.
    double error = 0.0;
    for (size_t i = 0; i < rows.size(); ++i) {
      for (const size_t k : {0u, 2u}) {
        const double difference =
            std::abs(static_cast<double>(rows[i][top_two[i][k].get<size_t>()]) -
                     top_two[i][k + 1].get<double>());
        error = std::max(error, difference);
        squares += difference * difference;
      }
    }
    worst_error = std::max(worst_error, error);
    peer_error = std::max(peer_error, exact.at("peer_error").at("max").get<double>());
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto best = std::max_element(rows[i].begin(), rows[i].end()) - rows[i].begin();
      const double margin = top_two[i][1].get<double>() - top_two[i][3].get<double>();
      ++steps;
      same_as_exact += best == top_two[i][0].get<int64_t>();
      same_as_peer += best == text.at("output_ids")[i].get<int64_t>();
      if (margin <= 2 * error) continue;  // both logits may be off, in opposite directions
      ++compared;
      EXPECT_EQ(best, top_two[i][0].get<int64_t>()) << text.at("name") << " step " << i;
    }
  }
  std::printf(
      "%zu steps: argmax exact in %zu, as llama.cpp in %zu; %zu with a margin above twice the "
      "error; error of the leading logits %.3f at most, %.3f rms (llama.cpp's, over all "
      "logits: %.3f at most)\n",
      steps, same_as_exact, same_as_peer, compared, worst_error,
      std::sqrt(squares / (2.0 * static_cast<double>(steps))), peer_error);
  EXPECT_GT(compared, steps / 2) << "an error this large would hide anything";
  EXPECT_LE(worst_error, peer_error) << "further from exact arithmetic than the peer ever is";
}

INSTANTIATE_TEST_SUITE_P(Models, PeerText,
                         testing::Values(PeerModel{"OCTAVO_TEST_SMOLLM2", "smollm2"},
                                         PeerModel{"OCTAVO_TEST_GEMMA3", "gemma3_270m"}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace octavo
