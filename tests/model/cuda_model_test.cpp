// Whole models on an NVIDIA GPU: the golden logits of every family and weight type, texts against
// the CPU's, and steps replayed as graphs. Without a GPU, each test says that it was skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "backend/cuda/create_cuda_backend.h"
#include "model/golden.h"
#include "model/step_runner.h"
#include "text/tokenizer.h"

namespace octavo {
namespace {

// The error of rounding a value to the nearest of a type with the unit roundoff u, relative to it,
// as root mean square: u / sqrt(3) * sqrt(E[1 / m^2]) for mantissas m in [1, 2) whose logarithms
// are equally likely, which is 0.43 u.
constexpr double kF16Rounding = 0.43 * 0x1p-11;
constexpr double kBf16Rounding = 0.43 * 0x1p-8;
// Rounding to bytes, 1/127 of the largest of 32 values.
constexpr double kByteRounding = 0.005;

// What a product's factors lose, relative to their norm: activations become f16, bf16 or bytes, and
// the values of quantised weights f16 or bf16, by the number of rows. Bytes lose the most.
double product_rounding(const std::string& weight_type) {
  if (weight_type == "F32") return 0.0;
  if (weight_type == "F16") return kF16Rounding;
  if (weight_type == "BF16") return kBf16Rounding;
  return kByteRounding;
}

// How far logits may be from exact arithmetic, relative to their norm, as root mean square. As on
// the CPU (golden_logits_test.cpp), rounding passes 5 products in a row; keys, values, queries and
// the weights of attention are rounded to the store's type, if it has 16 bits; all add in
// quadrature, and a peaked softmax and the gating amplify them by 1.5.
double relative_tolerance(const std::string& weight_type, DType kv_type) {
  const double product = product_rounding(weight_type);
  const double attention = kv_type == DType::f32 ? 0.0 : kF16Rounding;
  return 1.5 * std::sqrt(5.0 * product * product + 4.0 * attention * attention);
}

class CudaGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_P(CudaGolden, AgreesWithTransformersWholeAndInChunks) {
  const Golden golden = load_golden(GetParam());
  const std::string type = golden.json.at("weight_type");
  for (const DType kv_type : {DType::f32, DType::f16}) {
    double tolerance =
        relative_tolerance(type, kv_type) * golden.json.at("logits_rms").get<double>();
    // Sums in floats, as transformers' own: 4 times what that loses.
    if (type == "F32" || type == "F16" || type == "BF16") {
      tolerance += 4.0 * golden.json.at("error_of_transformers_float32").at("rms").get<double>();
    }
    for (const bool deterministic : {false, true}) {
      SCOPED_TRACE("KV " + kv_type_name(kv_type) + (deterministic ? ", deterministic" : ""));
      StepRunner runner(model_path(golden),
                        {.kv_type = kv_type, .device = "cuda", .deterministic = deterministic});
      const auto whole = runner.run({{0, golden.tokens}});
      const auto chunks = run_in_chunks(runner, 1, golden.tokens, 1);
      for (const auto& rows : {whole, chunks}) {
        const Deviation found = deviation(rows, golden.logits);
        EXPECT_LE(found.rms, tolerance);
        EXPECT_LE(found.max, 8.0 * tolerance);  // the largest of some ten thousand
      }
      if (deterministic) {
        EXPECT_EQ(chunks, whole) << "the bits depend on the batch";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaGolden, testing::ValuesIn(golden_names()),
                         [](const auto& test) { return test.param; });

struct TextModel {
  const char* name;
  std::string path;     // as gguf::open_model takes it; empty: not here
  const char* missing;  // what to say then
  double tolerance;     // from exact arithmetic, relative to the logits' norm
  double excused;       // share of the steps at which the tokens may differ, at the most
};

void PrintTo(const TextModel& model, std::ostream* out) {
  *out << model.name;
}

// How far another implementation that rounds activations to bytes is from exact arithmetic on a
// text, at the most: a trained model of many layers amplifies rounding by more than
// relative_tolerance() has.
double peer_tolerance(const char* reference) {
  const nlohmann::json texts = load_golden_json(reference);
  double largest = 0.0;
  for (const auto& text : texts.at("entries")) {
    const double rms = text.at("peer_error").at("rms").get<double>();
    largest = std::max(largest, rms / text.at("logits_rms").get<double>());
  }
  return largest;
}

std::vector<TextModel> text_models() {
  const std::filesystem::path shared = std::filesystem::path(OCTAVO_SHARED_DATA) / "models";
  const auto if_there = [](const std::filesystem::path& path) {
    return std::filesystem::exists(path) ? path.string() : std::string();
  };
  const char* smollm2 = std::getenv("OCTAVO_TEST_SMOLLM2");
  const char* beside = "stories260K is not beside the checkout";
  return {{"builtin", "builtin", "", relative_tolerance("Q8_0", DType::f16), 0.25},
          {"stories260K_f32", if_there(shared / "stories260K.f32.gguf"), beside,
           relative_tolerance("F32", DType::f16), 0.25},
          {"stories260K_q8_0", if_there(shared / "stories260K.q8_0.gguf"), beside,
           relative_tolerance("Q8_0", DType::f16), 0.25},
          {"smollm2", smollm2 == nullptr ? "" : smollm2,
           "OCTAVO_TEST_SMOLLM2 does not name the model's GGUF file",
           peer_tolerance("smollm2_reference.json"), 0.5}};
}

// The two highest logits of a row, and whose they are.
struct TopTwo {
  std::array<size_t, 2> tokens;
  double margin;
};
TopTwo top_two(const std::vector<float>& logits) {
  const auto by_logit = [&](size_t a, size_t b) { return logits[a] > logits[b]; };
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::partial_sort(order.begin(), order.begin() + 2, order.end(), by_logit);
  return {{order[0], order[1]},
          static_cast<double>(logits[order[0]]) - static_cast<double>(logits[order[1]])};
}

int32_t argmax(const std::vector<float>& logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// How two backends' logits of the same texts compare.
struct Comparison {
  size_t steps = 0;
  size_t other_token = 0;    // the argmax differs
  size_t excused = 0;        // a margin so small that it may
  double differences = 0.0;  // sum of squares
  double logits = 0.0;       // sum of squares
  double largest = 0.0;      // difference, as a share of the step's range of logits

  void add(const std::vector<float>& ours, const std::vector<float>& theirs) {
    double most = 0.0;
    for (size_t i = 0; i < ours.size(); ++i) {
      const double difference = static_cast<double>(ours[i]) - static_cast<double>(theirs[i]);
      most = std::max(most, std::abs(difference));
      differences += difference * difference;
      logits += static_cast<double>(theirs[i]) * static_cast<double>(theirs[i]);
    }
    const auto [low, high] = std::minmax_element(theirs.begin(), theirs.end());
    largest = std::max(largest, most / (static_cast<double>(*high) - static_cast<double>(*low)));
    const TopTwo top = top_two(theirs);
    for (const size_t token : top.tokens) {
      const double difference =
          static_cast<double>(ours[token]) - static_cast<double>(theirs[token]);
      text_error_ = std::max(text_error_, std::abs(difference));
    }
    text_.push_back({top.margin, argmax(ours) != argmax(theirs)});
  }

  // At a text's end: where the two leading logits are further apart than any step's may both have
  // moved, the tokens are the same.
  void end_text() {
    for (const Step& step : text_) {
      const bool may_differ = step.margin <= 2.0 * text_error_;
      EXPECT_TRUE(may_differ || !step.differs) << "step " << steps << ", a margin of "
                                               << step.margin << " and an error of " << text_error_;
      ++steps;
      excused += may_differ ? 1 : 0;
      other_token += step.differs ? 1 : 0;
    }
    text_.clear();
    text_error_ = 0.0;
  }

 private:
  struct Step {
    double margin;
    bool differs;
  };
  std::vector<Step> text_;
  double text_error_ = 0.0;  // the furthest of a step's two leading logits
};

class CudaText : public testing::TestWithParam<TextModel> {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
    if (GetParam().path.empty()) GTEST_SKIP() << GetParam().missing;
  }
};

// The CPU's greedy text, 200 tokens a prompt; the GPU computes the same steps.
void compare_text(StepRunner& cpu, StepRunner& gpu, int32_t sequence, std::vector<int32_t> piece,
                  Comparison& found) {
  for (int step = 0; step < 200; ++step) {
    const auto theirs = cpu.run({{sequence, piece}});
    const auto ours = gpu.run({{sequence, piece}});
    found.add(ours.back(), theirs.back());
    piece = {argmax(theirs.back())};
  }
  found.end_text();
}

TEST_P(CudaText, ChoosesTheCpusTokensWhereTheMarginExceedsTheDifference) {
  const TextModel& model = GetParam();
  for (const bool deterministic : {false, true}) {
    SCOPED_TRACE(deterministic ? "deterministic" : "plain");
    StepRunner cpu(model.path, {.kv_type = DType::f16});
    StepRunner gpu(model.path,
                   {.kv_type = DType::f16, .device = "cuda", .deterministic = deterministic});
    const auto tokenizer = text::Tokenizer::create(cpu.file().metadata());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    Comparison found;
    int32_t sequence = 0;
    for (const char* prompt : {"Once upon a time", "The little dog", "One day, a boy"}) {
      compare_text(cpu, gpu, sequence++, (*tokenizer)->encode(prompt), found);
    }
    const double relative = std::sqrt(found.differences / found.logits);
    std::printf(
        "%s, %s: %zu steps, %zu with another argmax, %zu with a margin below twice the leading "
        "logits' difference; differences %.2e of the logits' norm, at most %.2e of their range\n",
        model.name, deterministic ? "deterministic" : "plain", found.steps, found.other_token,
        found.excused, relative, found.largest);
    // Both are off by themselves.
    EXPECT_LE(relative, std::sqrt(2.0) * model.tolerance);
    EXPECT_LE(found.largest, 0.05);
    EXPECT_LE(static_cast<double>(found.excused), model.excused * static_cast<double>(found.steps))
        << "a difference this large would hide anything";
    EXPECT_LE(found.other_token, found.steps / 30);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CudaText, testing::ValuesIn(text_models()),
                         [](const auto& test) { return std::string(test.param.name); });

// One sequence decodes alone, and then beside neighbours whose number of rows never comes twice, so
// that no step is like an earlier one.
TEST(CudaReplay, AReplayedStepHasTheBitsOfOneThatIsNot) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  constexpr int kSteps = 40;
  const StepRunner::Options options = {
      .kv_type = DType::f16, .device = "cuda", .deterministic = true};
  StepRunner alone("builtin", options);
  StepRunner crowd("builtin", options);
  std::vector<int32_t> piece(100, 1000);  // more rows than any later step has
  for (int step = 0; step < kSteps; ++step) {
    const auto expected = alone.run({{0, piece}});
    const std::vector<int32_t> neighbour(static_cast<size_t>(step + 8), 1001);
    const auto found = crowd.run({{0, piece}, {1, neighbour}});
    ASSERT_EQ(found[piece.size() - 1], expected.back()) << "step " << step;
    piece = {argmax(expected.back())};
  }
  // The first of equal steps is launched kernel by kernel, and growing tables change a step a few
  // times.
  EXPECT_GT(cuda::replayed_steps(alone.backend()), kSteps / 2);
  EXPECT_EQ(cuda::replayed_steps(crowd.backend()), 0);
}

}  // namespace
}  // namespace octavo
