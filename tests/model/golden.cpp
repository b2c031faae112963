#include "model/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

namespace octavo {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(OCTAVO_TEST_DATA) / "golden";

}  // namespace

nlohmann::json load_golden_json(const std::string& file_name) {
  nlohmann::json json;
  std::ifstream(kGolden / file_name) >> json;
  return json;
}

Golden load_golden(const std::string& name) {
  Golden golden;
  golden.json = load_golden_json(name + ".json");
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

std::vector<std::vector<float>> run_in_chunks(StepRunner& runner, int32_t first_sequence,
                                              const std::vector<int32_t>& tokens, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<float>> rows;
  size_t at = 0;
  while (at < tokens.size()) {
    const size_t length = std::min<size_t>(tokens.size() - at, 1 + random() % 11);
    const auto begin = tokens.begin() + static_cast<int64_t>(at);
    const std::vector<int32_t> chunk(begin, begin + static_cast<int64_t>(length));
    // The neighbours have other tokens and lengths of their own.
    const std::vector<int32_t> other(1 + random() % 5, tokens[random() % 16]);
    const auto step = runner.run(
        {{first_sequence + 1, other}, {first_sequence, chunk}, {first_sequence + 2, {tokens[at]}}});
    const auto first = step.begin() + static_cast<int64_t>(other.size());
    rows.insert(rows.end(), first, first + static_cast<int64_t>(length));
    at += length;
  }
  return rows;
}

}  // namespace octavo
