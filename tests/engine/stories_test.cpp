// stories260K against the greedy text that llama2.c prints for it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine_run.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

TEST(Stories, GreedyTextEqualsLlama2c) {
  const fs::path models = fs::path(OCTAVO_SHARED_DATA) / "models";
  if (!fs::exists(models / "stories260K.f32.gguf")) {
    GTEST_SKIP() << "stories260K is not beside the checkout";
  }
  std::ifstream file(models / "stories260K.greedy200.llama2c.txt");
  std::string expected((std::istreambuf_iterator<char>(file)), {});
  while (!expected.empty() && expected.back() == '\n') expected.pop_back();

  const fs::path folder =
      fs::temp_directory_path() / ("octavo_stories_" + std::to_string(getpid()));
  fs::create_directories(folder);
  fs::copy_file(models / "stories260K.f32.gguf", folder / "model.gguf");
  EngineConfig config;
  config.model_path = folder / "model.gguf";
  config.kv_dtype = "f32";  // as llama2.c keeps it
  {
    auto engine = make_engine(config);
    const std::string prompt = "Once upon a time";
    ASSERT_TRUE(expected.starts_with(prompt));
    Request request;
    request.prompt = *engine->tokenize(prompt, {});
    request.sampling.temperature = 0.0F;
    // llama2.c was asked for 200 positions; its last one is drawn and printed too.
    request.sampling.max_tokens = 200 - static_cast<int32_t>(request.prompt.size()) + 1;
    const std::string text = prompt + run_to_end(*engine, request)[0].text;
    EXPECT_EQ(text.substr(0, expected.size()), expected);
    EXPECT_LE(text.size(), expected.size() + 8);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace octavo
