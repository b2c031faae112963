// What is wrong with a model file is said in one line that names the file and the key or tensor.
#include <gtest/gtest.h>

#include <filesystem>

#include "backend/create_backend.h"
#include "gguf/writer.h"
#include "model/model.h"

namespace octavo {
namespace {

using testing::Test;

// A llama of one layer, 2 heads of 4 dimensions and 8 tokens, which a test can spoil.
struct TinyModel {
  std::string architecture = "llama";
  uint32_t heads = 2;
  uint32_t kv_heads = 1;
  uint32_t layers = 1;
  uint32_t context = 64;
  std::string left_out;   // a key or tensor
  std::string misshapen;  // a tensor
  std::string scaling_type;
  uint32_t window = 0;
  uint32_t rope_dims = 4;

  std::vector<std::byte> bytes() const;
};

std::vector<std::byte> TinyModel::bytes() const {
  constexpr uint64_t kDim = 8;
  constexpr uint64_t kHidden = 12;
  gguf::Writer writer;
  writer.add_string("general.architecture", architecture);
  const auto key = [&](const std::string& name, uint32_t value) {
    if (name != left_out) writer.add_u32(architecture + "." + name, value);
  };
  key("context_length", context);
  key("embedding_length", kDim);
  key("block_count", layers);
  key("feed_forward_length", kHidden);
  key("attention.head_count", heads);
  key("attention.head_count_kv", kv_heads);
  key("rope.dimension_count", rope_dims);
  writer.add_f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5F);
  if (!scaling_type.empty()) writer.add_string(architecture + ".rope.scaling.type", scaling_type);
  if (window != 0) key("attention.sliding_window", window);
  const auto tensor = [&](const std::string& name, uint64_t in, uint64_t out) {
    if (name == left_out) return;
    if (name == misshapen) ++out;
    writer.add_tensor(name, DType::f32, {in, out}, std::vector<std::byte>(in * out * 4));
  };
  tensor("token_embd.weight", kDim, 8);
  tensor("output_norm.weight", kDim, 1);
  tensor("blk.0.attn_norm.weight", kDim, 1);
  tensor("blk.0.attn_q.weight", kDim, kDim);
  tensor("blk.0.attn_k.weight", kDim, 4);
  tensor("blk.0.attn_v.weight", kDim, 4);
  tensor("blk.0.attn_output.weight", kDim, kDim);
  tensor("blk.0.ffn_norm.weight", kDim, 1);
  tensor("blk.0.ffn_gate.weight", kDim, kHidden);
  tensor("blk.0.ffn_up.weight", kDim, kHidden);
  tensor("blk.0.ffn_down.weight", kHidden, kDim);
  return writer.bytes();
}

// The error of loading the model; empty when it loads.
std::string load_error(const TinyModel& tiny) {
  const std::vector<std::byte> bytes = tiny.bytes();
  Result<gguf::File> file = gguf::File::parse("tiny.gguf", bytes.data(), bytes.size());
  if (!file) return file.error().message;
  Result<std::unique_ptr<Backend>> backend = create_backend({.threads = 1});
  if (!backend) return backend.error().message;
  const Result<std::unique_ptr<Model>> model = Model::load(*file, **backend);
  return model ? "" : model.error().message;
}

TEST(ModelErrors, ASoundModelLoads) {
  EXPECT_EQ(load_error({}), "");
}

TEST(ModelErrors, AnArchitectureThatIsNotSupportedIsNamedWithThoseThatAre) {
  EXPECT_EQ(load_error({.architecture = "mamba"}),
            "tiny.gguf: architecture 'mamba' is not supported; supported are llama, qwen2, qwen3, "
            "gemma3");
}

TEST(ModelErrors, AMissingTensorIsNamed) {
  for (const char* name : {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
                           "blk.0.attn_q.weight", "blk.0.ffn_down.weight"}) {
    EXPECT_EQ(load_error({.left_out = name}),
              "tiny.gguf: tensor '" + std::string(name) + "' is missing");
  }
  EXPECT_EQ(load_error({.layers = 2}), "tiny.gguf: tensor 'blk.1.attn_norm.weight' is missing");
}

TEST(ModelErrors, AFamilysOwnTensorsAreAskedFor) {
  EXPECT_EQ(load_error({.architecture = "qwen2"}),
            "tiny.gguf: tensor 'blk.0.attn_q.bias' is missing");
  EXPECT_EQ(load_error({.architecture = "qwen3"}),
            "tiny.gguf: tensor 'blk.0.attn_q_norm.weight' is missing");
  EXPECT_EQ(load_error({.architecture = "gemma3"}),
            "tiny.gguf: tensor 'blk.0.post_attention_norm.weight' is missing");
}

TEST(ModelErrors, AWrongShapeIsSaidWithBothShapes) {
  EXPECT_EQ(
      load_error({.misshapen = "blk.0.ffn_up.weight"}),
      "tiny.gguf: tensor 'blk.0.ffn_up.weight' has shape [8, 13], the metadata ask for [8, 12]");
}

TEST(ModelErrors, AMissingKeyIsNamed) {
  for (const char* name : {"context_length", "embedding_length", "block_count",
                           "feed_forward_length", "attention.head_count"}) {
    const std::string error = load_error({.left_out = name});
    EXPECT_NE(error.find("tiny.gguf"), std::string::npos) << error;
    EXPECT_NE(error.find("llama." + std::string(name)), std::string::npos) << error;
  }
}

TEST(ModelErrors, ImpossibleNumbersAreRefused) {
  EXPECT_NE(load_error({.heads = 0}).find("'llama.attention.head_count': 0"), std::string::npos);
  EXPECT_NE(load_error({.heads = 4, .kv_heads = 3}).find("4 attention heads cannot share 3"),
            std::string::npos);
  EXPECT_NE(load_error({.layers = 0xFFFFFFFF}).find("'llama.block_count': 4294967295"),
            std::string::npos);
  EXPECT_NE(load_error({.context = 0}).find("'llama.context_length': 0"), std::string::npos);
  EXPECT_NE(load_error({.heads = 8, .kv_heads = 8}).find("8 heads of 1 dimensions"),
            std::string::npos);
  EXPECT_NE(load_error({.rope_dims = 6}).find("rope.dimension_count"), std::string::npos);
  EXPECT_NE(load_error({.window = 0xFFFFFFFF}).find("'llama.attention.sliding_window': 4294967295"),
            std::string::npos);
  EXPECT_NE(load_error({.scaling_type = "longrope"}).find("'longrope' is not one of"),
            std::string::npos);
}

}  // namespace
}  // namespace octavo
