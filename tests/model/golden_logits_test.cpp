// Every family and every weight type against logits that Hugging Face transformers computed in
// float64 (tests/data/golden/README.md), and the same model cut into steps in other ways.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "model/step_runner.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(OCTAVO_TEST_DATA) / "golden";

struct Golden {
  nlohmann::json json;
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, vocabulary]
};

Golden load_golden(const std::string& name) {
  Golden golden;
  std::ifstream(kGolden / (name + ".json")) >> golden.json;
  golden.tokens = golden.json.at("token_ids").get<std::vector<int32_t>>();
  const fs::path path = kGolden / golden.json.at("logits").get<std::string>();
  golden.logits.resize(fs::file_size(path) / sizeof(float));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(golden.logits.data()),
            static_cast<std::streamsize>(golden.logits.size() * sizeof(float)));
  return golden;
}

std::string model_path(const Golden& golden) {
  return kGolden / golden.json.at("model").get<std::string>();
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    const std::string file = entry.path().filename().string();
    const std::string ending = ".logits.bin";
    if (file.ends_with(ending)) names.push_back(file.substr(0, file.size() - ending.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Deviation {
  double max = 0.0;
  double rms = 0.0;
};

Deviation deviation(const std::vector<std::vector<float>>& rows, const std::vector<float>& golden) {
  Deviation result;
  size_t i = 0;
  for (const std::vector<float>& row : rows) {
    for (const float value : row) {
      const double difference =
          std::abs(static_cast<double>(value) - static_cast<double>(golden[i++]));
      result.max = std::max(result.max, difference);
      result.rms += difference * difference;
    }
  }
  EXPECT_EQ(i, golden.size());
  result.rms = std::sqrt(result.rms / static_cast<double>(golden.size()));
  return result;
}

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
      std::mt19937 random(static_cast<uint32_t>(threads));
      size_t at = 0;
      std::vector<std::vector<float>> rows;
      while (at < golden.tokens.size()) {
        const size_t length = std::min<size_t>(golden.tokens.size() - at, 1 + random() % 11);
        const auto begin = golden.tokens.begin() + static_cast<int64_t>(at);
        const std::vector<int32_t> chunk(begin, begin + static_cast<int64_t>(length));
        // A neighbour before and one behind, with other tokens and lengths of their own.
        const std::vector<int32_t> other(1 + random() % 5, golden.tokens[random() % 16]);
        const auto step = runner.run({{1, other}, {0, chunk}, {2, {golden.tokens[at]}}});
        const auto first = step.begin() + static_cast<int64_t>(other.size());
        rows.insert(rows.end(), first, first + static_cast<int64_t>(length));
        at += length;
      }
      ASSERT_EQ(rows, expected) << threads << " threads, KV " << info(kv_type).name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenLogits, testing::ValuesIn(golden_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace octavo
