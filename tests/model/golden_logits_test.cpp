// Every family and every weight type against logits that Hugging Face transformers computed in
// float64 (tests/data/golden/README.md), and the same model cut into steps in other ways.
#include <gtest/gtest.h>

#include <cmath>

#include "model/golden.h"
#include "model/step_runner.h"

namespace octavo {
namespace {

class GoldenLogits : public testing::TestWithParam<std::string> {};

// How far logits may be from exact arithmetic, as root mean square:
// - weights kept as floats: 4 times what transformers' own float32 arithmetic loses on this model;
// - quantised weights: activations are rounded to 8 bits in groups of 32. The error of rounding to
//   1/127 of the largest of 32 values is 0.5 % of their norm; it passes 5 products in a row (V,
//   output, up or gate, down, logits), each adding as much in quadrature, and a peaked softmax and
//   the gating amplify it: 0.5 % x sqrt(5) x 1.5 of the logits' norm.
double tolerance_rms(const Golden& golden) {
  const std::string type = golden.json.at("weight_type");
  if (type == "F32" || type == "F16" || type == "BF16") {
    return 4.0 * golden.json.at("error_of_transformers_float32").at("rms").get<double>();
  }
  return 0.005 * std::sqrt(5.0) * 1.5 * golden.json.at("logits_rms").get<double>();
}

TEST_P(GoldenLogits, AgreeWithTransformers) {
  const Golden golden = load_golden(GetParam());
  StepRunner runner(model_path(golden), {});
  const Deviation found = deviation(runner.run({{0, golden.tokens}}), golden.logits);
  const double tolerance = tolerance_rms(golden);
  EXPECT_LE(found.rms, tolerance);
  EXPECT_LE(found.max, 8.0 * tolerance);  // the largest of some ten thousand
  RecordProperty("rms", std::to_string(found.rms));
  // A tolerance that would not notice a missing feature is worth nothing.
  for (const auto& [feature, change] : golden.json.at("change_without").items()) {
    EXPECT_GT(change.at("rms").get<double>(), 10 * tolerance) << feature;
  }
}

// The same bits whether the prompt is whole, in chunks, or beside other sequences; on 1, 2, 3
// threads.
TEST_P(GoldenLogits, DoNotDependOnTheBatch) {
  const Golden golden = load_golden(GetParam());
  for (const DType kv_type : {DType::f32, DType::f16}) {
    StepRunner whole(model_path(golden), {.kv_type = kv_type, .threads = 1});
    const auto expected = whole.run({{0, golden.tokens}});
    for (const int threads : {1, 2, 3}) {
      StepRunner runner(model_path(golden), {.kv_type = kv_type, .threads = threads});
      const auto rows = run_in_chunks(runner, 0, golden.tokens, static_cast<uint32_t>(threads));
      ASSERT_EQ(rows, expected) << threads << " threads, KV " << info(kv_type).name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenLogits, testing::ValuesIn(golden_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace octavo
