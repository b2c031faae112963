// The small model built into the program: real weights, which every build has. That it understands
// its own kind of text, in each block type, and answers in its chat format.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/perplexity.h"
#include "engine/engine_run.h"
#include "gguf/builtin_model.h"
#include "gguf/dequantize.h"
#include "gguf/quantize.h"
#include "gguf/writer.h"

namespace octavo::cli {
namespace {

// Written for this test, so that no training has seen it.
constexpr const char* kStory =
    "Once upon a time, there was a little girl named Nora. She had a red kite, and she loved to "
    "play with it in the park. One day, the wind was very strong. It took the kite and put it in a "
    "big tree. Nora was sad. \"Do not cry,\" said her brother. \"We can ask the squirrel to help "
    "us.\" The squirrel climbed up the tree and pulled the string. The kite fell down. Nora was so "
    "happy that she gave the squirrel a nut. \"Thank you!\" she said. The squirrel smiled and ran "
    "back to its nest. From that day on, Nora and the squirrel were good friends, and they played "
    "in the park every day. When it was time to go home, they waved and said goodbye.";

double perplexity_of(const std::string& model) {
  EngineConfig config;
  config.model_path = model;
  const auto engine = make_engine(config);
  const auto result = measure_perplexity(*engine, kStory, 64, [](int64_t, int64_t) {});
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result.ok() ? result->value : INFINITY;
}

// The built-in model with all its matrices in another block type.
void write_requantised(DType type, const std::string& path) {
  const Result<gguf::File> file = gguf::open_model("builtin");
  ASSERT_TRUE(file.ok()) << file.error().message;
  gguf::Writer writer;
  for (const std::string& key : file->metadata().keys()) {
    writer.add(key, *file->metadata().find(key));
  }
  for (const gguf::TensorInfo& tensor : file->tensors()) {
    const std::vector<uint64_t> dims(tensor.dims.begin(), tensor.dims.begin() + tensor.dim_count);
    if (tensor.dim_count == 1) {
      writer.add_tensor(tensor.name, tensor.type, dims, {tensor.data, tensor.data + tensor.bytes});
      continue;
    }
    ASSERT_EQ(tensor.dims[0] % 256, 0u) << tensor.name;  // the longest block of all types
    std::vector<float> values(tensor.elements());
    gguf::dequantize_row(tensor.type, tensor.data, values.data(), values.size());
    writer.add_tensor(tensor.name, type, dims, gguf::quantize(type, values));
  }
  std::filesystem::remove(path);
  const Result<void> written = writer.write(path);
  ASSERT_TRUE(written.ok()) << written.error().message;
}

TEST(BuiltinModel, IsTheDefaultOfTheLibrary) {
  const auto engine = make_engine({});
  EXPECT_EQ(engine->model().path, "builtin");
  EXPECT_EQ(engine->model().name, "Octavo demo 10M");
  EXPECT_FALSE(engine->model().chat_template.empty());
  EXPECT_EQ(engine->model().context_length, 1024);
}

// Weights that are read wrongly are at the vocabulary's size, 4,096, or above.
TEST(BuiltinModel, UnderstandsAStory) {
  EXPECT_LT(perplexity_of("builtin"), 150.0);
}

TEST(BuiltinModel, LosesLittleInEachBlockType) {
  const std::string path =
      testing::TempDir() + "octavo_requantised_" + std::to_string(getpid()) + ".gguf";
  write_requantised(DType::f32, path);
  const double exact = perplexity_of(path);
  // How much a type may add to log(perplexity): nothing that can be seen at 8 bits and more; at 4
  // bits, with one scale for 32 values, small models lose some hundredths to a tenth.
  const std::vector<std::pair<DType, double>> types = {{DType::f16, 0.005},
                                                       {DType::bf16, 0.01},
                                                       {DType::q8_0, 0.01},
                                                       {DType::q4_0, 0.25},
                                                       {DType::q4_1, 0.25}};
  for (const auto& [type, loss] : types) {
    write_requantised(type, path);
    EXPECT_NEAR(std::log(perplexity_of(path)), std::log(exact), loss) << info(type).name;
  }
  std::filesystem::remove(path);
}

TEST(BuiltinModel, AnswersInItsChatFormatAndStops) {
  const auto engine = make_engine({});
  const auto prompt = engine->apply_chat_template({{"user", "Who are you?"}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  Request request;
  request.prompt = *prompt;
  request.sampling.temperature = 0.0F;
  request.sampling.max_tokens = 100;
  const OutputRecord answer = run_to_end(*engine, request)[0];
  EXPECT_EQ(answer.finish, FinishReason::stop);
  EXPECT_NE(answer.text.find("Octavo"), std::string::npos) << answer.text;
}

}  // namespace
}  // namespace octavo::cli
