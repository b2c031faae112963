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
#include <nlohmann/json.hpp>

#include "backend/cuda/create_cuda_backend.h"
#include "model/golden.h"
#include "model/step_runner.h"

namespace octavo {
namespace {

struct PeerModel {
  const char* variable;  // of the environment: the model's path
  const char* name;      // of the vectors
  const char* device = "cpu";
  bool deterministic = false;  // of a GPU
  // The largest error may be so many times the peer's: where both round to bytes, whose is larger
  // is chance.
  double slack = 1.0;
};

void PrintTo(const PeerModel& model, std::ostream* out) {
  *out << model.name << " on " << model.device;
}

// Logits of every step of the text: after the prompt, then after each token of the output but the
// last. Prompts in pieces of 64 tokens, so that not all logits are kept; the output token by token.
std::vector<std::vector<float>> teacher_force(StepRunner& runner, std::vector<int32_t> prompt,
                                              const std::vector<int32_t>& output) {
  std::vector<int32_t> piece = {prompt.back()};
  prompt.pop_back();
  for (size_t at = 0; at < prompt.size(); at += 64) {
    const auto begin = prompt.begin() + static_cast<int64_t>(at);
    const auto end = prompt.begin() + static_cast<int64_t>(std::min(at + 64, prompt.size()));
    runner.run({{0, {begin, end}}});
  }
  std::vector<std::vector<float>> rows;
  for (const int32_t token : output) {
    rows.push_back(runner.run({{0, piece}}).back());
    piece = {token};
  }
  return rows;
}

class PeerText : public testing::TestWithParam<PeerModel> {};

TEST_P(PeerText, ArgmaxAgreesWhereTheMarginExceedsTheError) {
  const char* path = std::getenv(GetParam().variable);
  if (path == nullptr)
    GTEST_SKIP() << GetParam().variable << " does not name the model's GGUF file";
  const std::string device = GetParam().device;
  if (device == "cuda" && cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const nlohmann::json peer = load_golden_json(std::string(GetParam().name) + "_peer.json");
  const nlohmann::json reference =
      load_golden_json(std::string(GetParam().name) + "_reference.json");
  size_t steps = 0, compared = 0, same_as_exact = 0, same_as_peer = 0;
  double worst_error = 0.0, peer_error = 0.0, squares = 0.0, peer_squares = 0.0;
  for (size_t e = 0; e < peer.at("entries").size(); ++e) {
    const nlohmann::json& text = peer["entries"][e];
    const nlohmann::json& exact = reference["entries"][e];
    StepRunner runner(
        path, {.kv_type = DType::f16, .device = device, .deterministic = GetParam().deterministic});
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
    const double peer_rms = exact.at("peer_error").at("rms").get<double>();
    peer_squares += peer_rms * peer_rms * static_cast<double>(rows.size());
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
  const double rms = std::sqrt(squares / (2.0 * static_cast<double>(steps)));
  const double peer_rms = std::sqrt(peer_squares / static_cast<double>(steps));
  std::printf(
      "%zu steps: argmax exact in %zu, as llama.cpp in %zu; %zu with a margin above twice the "
      "error; error of the leading logits %.3f at most, %.3f rms (llama.cpp's, over all "
      "logits: %.3f at most, %.3f rms)\n",
      steps, same_as_exact, same_as_peer, compared, worst_error, rms, peer_error, peer_rms);
  EXPECT_GT(compared, steps / 2) << "an error this large would hide anything";
  EXPECT_LE(rms, 1.2 * peer_rms) << "further from exact arithmetic than the peer";
  EXPECT_LE(worst_error, GetParam().slack * peer_error) << "further than the peer ever is";
}

std::string test_name(const testing::TestParamInfo<PeerModel>& test) {
  return std::string(test.param.name) + (test.param.deterministic ? "_deterministic" : "");
}

constexpr PeerModel kSmolLm2 = {"OCTAVO_TEST_SMOLLM2", "smollm2"};
constexpr PeerModel kGemma3 = {"OCTAVO_TEST_GEMMA3", "gemma3_270m"};

INSTANTIATE_TEST_SUITE_P(Models, PeerText, testing::Values(kSmolLm2, kGemma3), test_name);

PeerModel on_gpu(PeerModel model, bool deterministic) {
  model.device = "cuda";
  model.deterministic = deterministic;
  if (!deterministic) model.slack = 1.2;
  return model;
}

INSTANTIATE_TEST_SUITE_P(CudaModels, PeerText,
                         testing::Values(on_gpu(kSmolLm2, false), on_gpu(kSmolLm2, true),
                                         on_gpu(kGemma3, false), on_gpu(kGemma3, true)),
                         test_name);

}  // namespace
}  // namespace octavo
