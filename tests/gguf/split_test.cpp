// Split models: name-00001-of-0000N.gguf.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "gguf/file.h"
#include "gguf/small_model.h"

namespace octavo::gguf {
namespace {

class Split : public testing::Test {
 protected:
  void SetUp() override {
    // Tests run as processes side by side: each has its own folder.
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / "octavo_split" / test->name();
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(int part, int of) const {
    return (folder_ / fmt::format("m-{:05}-of-{:05}.gguf", part, of)).string();
  }

  // Writes one part as split.no `number` (from 0) of `count`, with one tensor of that name.
  static void write(const std::string& path, uint32_t number, uint32_t count,
                    const std::string& tensor, int32_t tensors_in_all = 3) {
    Writer writer;
    writer.add("split.no", {ValueType::u16, Scalar(uint64_t{number})});
    writer.add("split.count", {ValueType::u16, Scalar(uint64_t{count})});
    writer.add("split.tensors.count", {ValueType::i32, Scalar(int64_t{tensors_in_all})});
    if (number == 0) writer.add_string("general.name", "whole");
    writer.add_tensor(tensor, DType::f32, {number + 1}, pattern_bytes(4 * (number + 1)));
    std::filesystem::remove(path);
    ASSERT_TRUE(writer.write(path).ok());
  }

  void write_three() const {
    write(path(1, 3), 0, 3, "a");
    write(path(2, 3), 1, 3, "b");
    write(path(3, 3), 2, 3, "c");
  }

  static std::string error_of(const std::string& path) {
    const Result<File> file = File::open(path);
    return file.ok() ? "no error" : file.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(Split, AnyPartOpensAllOfThem) {
  write_three();
  for (const int part : {1, 2, 3}) {
    const Result<File> file = File::open(path(part, 3));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->part_count(), 3u);
    EXPECT_EQ(file->metadata().string("general.name").value(), "whole");
    ASSERT_EQ(file->tensors().size(), 3u);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 3; ++i) {
      const TensorInfo& tensor = file->tensors()[i];
      EXPECT_EQ(tensor.part, i);
      EXPECT_EQ(tensor.bytes, 4 * (i + 1));
      EXPECT_EQ(std::memcmp(tensor.data, pattern_bytes(tensor.bytes).data(), tensor.bytes), 0);
      bytes += std::filesystem::file_size(path(static_cast<int>(i) + 1, 3));
    }
    EXPECT_EQ(file->file_bytes(), bytes);
    EXPECT_NE(file->find_tensor("c"), nullptr);
  }
}

TEST_F(Split, NamesThePartThatIsMissing) {
  write_three();
  std::filesystem::remove(path(2, 3));
  EXPECT_EQ(error_of(path(1, 3)), path(2, 3) + ": No such file or directory");
}

TEST_F(Split, RefusesPartsThatDoNotBelongTogether) {
  write_three();
  write(path(2, 3), 2, 3, "b");
  EXPECT_EQ(error_of(path(1, 3)), path(2, 3) + ": its metadata say that it is part 3 of 3");
  write(path(2, 3), 1, 2, "b");
  EXPECT_EQ(error_of(path(1, 3)), path(2, 3) + ": its metadata say that it is part 2 of 2");
}

TEST_F(Split, RefusesATensorInTwoParts) {
  write_three();
  write(path(3, 3), 2, 3, "a");
  EXPECT_EQ(error_of(path(1, 3)), path(3, 3) + ": tensor 'a': there twice");
}

TEST_F(Split, RefusesAWrongNumberOfTensors) {
  write_three();
  write(path(1, 3), 0, 3, "a", 4);
  EXPECT_EQ(error_of(path(1, 3)),
            path(1, 3) + ": key 'split.tensors.count': 4, but the parts hold 3 tensors");
}

TEST_F(Split, RefusesWrongKeysAndNames) {
  const std::string other = (folder_ / "other.gguf").string();
  write(other, 0, 3, "a");
  EXPECT_EQ(error_of(other), other +
                                 ": part 1 of 3 of a split model must have a name that ends in "
                                 "'-00001-of-00003.gguf'");
  write(other, 3, 3, "a");
  EXPECT_EQ(error_of(other), other + ": key 'split.no': 3, in a model of 3 parts counted from 0");

  Writer writer;
  writer.add_u32("split.count", 100'000);
  std::filesystem::remove(other);
  ASSERT_TRUE(writer.write(other).ok());
  EXPECT_EQ(error_of(other), other + ": key 'split.count': 100000, more than 99999");
}

TEST_F(Split, IsNotReadFromMemory) {
  Writer writer;
  writer.add_u32("split.count", 2);
  const std::vector<std::byte> bytes = writer.bytes();
  const Result<File> file = File::parse("f", bytes.data(), bytes.size());
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message, "f: key 'split.count': a split model is read from files only");
}

}  // namespace
}  // namespace octavo::gguf
