#include "gguf/file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "gguf/raw_gguf.h"
#include "gguf/small_model.h"

namespace octavo::gguf {
namespace {

bool equal(const Value& a, const Value& b) {
  if (a.type != b.type || a.data.index() != b.data.index()) return false;
  if (const auto* scalar = std::get_if<Scalar>(&a.data)) return *scalar == std::get<Scalar>(b.data);
  const auto& left = std::get<Array>(a.data);
  const auto& right = std::get<Array>(b.data);
  return left.element_type == right.element_type && left.unsigned_values == right.unsigned_values &&
         left.signed_values == right.signed_values && left.float_values == right.float_values &&
         left.strings == right.strings;
}

TEST(File, ReadsWhatTheWriterWrote) {
  const std::vector<std::byte> bytes = small_model();
  const Result<File> file = File::parse("small", bytes.data(), bytes.size());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->path(), "small");
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->file_bytes(), bytes.size());
  EXPECT_EQ(file->part_count(), 1u);

  ASSERT_EQ(file->tensors().size(), 4u);
  const TensorInfo& b = file->tensors()[1];
  EXPECT_EQ(b.name, "b.weight");
  EXPECT_EQ(b.type, DType::q8_0);
  EXPECT_EQ(b.dims, (std::array<uint64_t, 4>{64, 2, 1, 3}));
  EXPECT_EQ(b.dim_count, 4u);
  EXPECT_EQ(b.elements(), 384u);
  EXPECT_EQ(b.rows(), 6u);
  EXPECT_EQ(b.offset % 32, 0u);
  for (const TensorInfo& tensor : file->tensors()) {
    const std::vector<std::byte> expected = pattern_bytes(tensor.bytes);
    EXPECT_EQ(tensor.data, bytes.data() + tensor.offset);
    EXPECT_EQ(std::memcmp(tensor.data, expected.data(), tensor.bytes), 0) << tensor.name;
    EXPECT_EQ(file->find_tensor(tensor.name), &tensor);
  }
  EXPECT_EQ(file->find_tensor("e.weight"), nullptr);
}

TEST(File, KeepsEveryValueType) {
  const std::vector<std::byte> bytes = small_model();
  const Result<File> file = File::parse("small", bytes.data(), bytes.size());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const Metadata& metadata = file->metadata();
  ASSERT_EQ(metadata.keys().size(), 25u);
  EXPECT_EQ(metadata.keys().front(), "scalar.u8");
  EXPECT_EQ(metadata.keys().back(), "array.empty");
  const auto expect = [&](const char* key, const Value& value) {
    ASSERT_NE(metadata.find(key), nullptr) << key;
    EXPECT_TRUE(equal(*metadata.find(key), value)) << key;
  };
  expect("scalar.u64", {ValueType::u64, Scalar(~uint64_t{0})});
  expect("scalar.i8", {ValueType::i8, Scalar(int64_t{-128})});
  expect("scalar.i64", {ValueType::i64, Scalar(INT64_MIN)});
  expect("scalar.f32", {ValueType::f32, Scalar(static_cast<double>(0.1f))});
  expect("scalar.f64", {ValueType::f64, Scalar(0.1)});
  expect("scalar.bool", {ValueType::boolean, Scalar(true)});
  expect("array.u16", unsigned_array(ValueType::u16, {0, 65535}));
  expect("array.u64", unsigned_array(ValueType::u64, {0, ~uint64_t{0}}));
  expect("array.bool", unsigned_array(ValueType::boolean, {1, 0, 1}));
  expect("array.i8", signed_array(ValueType::i8, {-128, 127}));
  expect("array.f64", float_array(ValueType::f64, {1e300, -2.25}));

  // Written again from what was read, the metadata are the same bytes.
  Writer again;
  for (const std::string& key : metadata.keys()) again.add(key, *metadata.find(key));
  Writer original;
  add_every_value_type(original);
  EXPECT_EQ(again.bytes(), original.bytes());
}

TEST(File, ReadsVersionTwoAndOtherAlignments) {
  RawGguf old(1, 1, 2);
  old.key_u32("general.alignment", 64).tensor("t", {2}, 0, 0);
  std::vector<std::byte> bytes = old.bytes();
  bytes.resize((bytes.size() + 63) / 64 * 64 + 8);
  const Result<File> file = File::parse("old", bytes.data(), bytes.size());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->version(), 2u);
  EXPECT_EQ(file->tensors()[0].offset % 64, 0u);

  Writer writer(4096);
  writer.add_tensor("t", DType::f32, {1}, pattern_bytes(4));
  writer.add_tensor("u", DType::f32, {1}, pattern_bytes(4));
  const std::vector<std::byte> wide = writer.bytes();
  const Result<File> aligned = File::parse("wide", wide.data(), wide.size());
  ASSERT_TRUE(aligned.ok()) << aligned.error().message;
  EXPECT_EQ(aligned->tensors()[1].offset, 8192u);
  EXPECT_EQ(wide.size(), 3 * 4096u);
}

TEST(File, NeedsNoPaddingAfterTheLastTensor) {
  RawGguf raw(1, 0);
  raw.tensor("t", {3}, 1, 0).data(6);
  EXPECT_TRUE(File::parse("f", raw.bytes().data(), raw.bytes().size()).ok());
  const RawGguf empty(0, 0);
  EXPECT_TRUE(File::parse("f", empty.bytes().data(), empty.bytes().size()).ok());
}

TEST(File, MapsAFileAndOutlivesAMove) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "octavo_file_test.gguf";
  Writer writer;
  writer.add_string("general.name", "mapped");
  writer.add_tensor("big", DType::f32, {1024, 16}, pattern_bytes(65536));
  ASSERT_TRUE(writer.write(path.string()).ok());
  EXPECT_EQ(std::filesystem::file_size(path), writer.bytes().size());

  Result<File> opened = File::open(path.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const File file = std::move(opened).value();
  std::filesystem::remove(path);
  const TensorInfo* big = file.find_tensor("big");
  ASSERT_NE(big, nullptr);
  file.release(*big);  // only advice: the bytes are still those of the file
  EXPECT_EQ(std::memcmp(big->data, pattern_bytes(65536).data(), 65536), 0);
  EXPECT_EQ(file.metadata().string("general.name").value(), "mapped");
}

TEST(File, NamesThePathThatCannotBeOpened) {
  const Result<File> missing = File::open("no/such/file.gguf");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_EQ(missing.error().message, "no/such/file.gguf: No such file or directory");
  EXPECT_EQ(File::open(testing::TempDir()).error().message, testing::TempDir() + ": not a file");

  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "octavo_empty.gguf";
  std::ofstream(path).close();
  EXPECT_EQ(File::open(path.string()).error().message, path.string() + ": the file is empty");
  std::filesystem::remove(path);

  const Writer writer;
  EXPECT_EQ(writer.write("no/such/file.gguf").error().message,
            "no/such/file.gguf: No such file or directory");
}

TEST(File, ReadsAVocabularyOfAQuarterMillion) {
  std::vector<std::string> tokens;
  tokens.reserve(250'000);
  for (int i = 0; i < 250'000; ++i) tokens.push_back("token number " + std::to_string(i));
  Writer writer;
  writer.add_strings("tokenizer.ggml.tokens", tokens);
  const std::vector<std::byte> bytes = writer.bytes();
  const Result<File> file = File::parse("vocabulary", bytes.data(), bytes.size());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(*file->metadata().strings("tokenizer.ggml.tokens").value(), tokens);
}

TEST(File, ReadsRealModels) {
  const std::filesystem::path folder = OCTAVO_SHARED_DATA;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const Result<File> file = File::open(entry.path().string());
    EXPECT_TRUE(file.ok()) << file.error().message;
    files += 1;
  }
  EXPECT_GT(files, 0u);

  const Result<File> stories = File::open((folder / "models/stories260K.q8_0.gguf").string());
  ASSERT_TRUE(stories.ok()) << stories.error().message;
  EXPECT_EQ(stories->metadata().string("general.architecture").value(), "llama");
  const TensorInfo* embedding = stories->find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->dims[0], stories->metadata().u32("llama.embedding_length").value());
}

TEST(WriterDeathTest, RefusesWhatIsNotConsistent) {
  Writer writer;
  writer.add_u32("key", 1);
  writer.add_tensor("tensor", DType::f32, {1}, pattern_bytes(4));
  EXPECT_DEATH(writer.add_u32("key", 2), "'key' twice");
  EXPECT_DEATH(writer.add_tensor("tensor", DType::f32, {1}, pattern_bytes(4)), "'tensor' twice");
  EXPECT_DEATH(writer.add_tensor("short", DType::f32, {2}, pattern_bytes(4)), "'short'");
  EXPECT_DEATH(writer.add_tensor("part", DType::q8_0, {16}, pattern_bytes(17)), "'part'");
}

}  // namespace
}  // namespace octavo::gguf
