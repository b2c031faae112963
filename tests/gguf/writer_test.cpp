// How a Writer writes a file piece by piece. What it writes is compared in file_test.cpp.
#include "gguf/writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gguf/file.h"

namespace octavo::gguf {
namespace {

class WriterTest : public testing::Test {
 protected:
  WriterTest() : folder_(testing::TempDir() + "octavo-writer-XXXXXX") {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~WriterTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/model.gguf"; }

  std::string content() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_;
};

// Blocks that say their number, so that one in a wrong place shows.
void number_blocks(uint64_t first_block, std::span<std::byte> out) {
  for (size_t at = 0; at < out.size(); at += 34) {
    const uint64_t number = first_block + at / 34;
    std::memset(out.data() + at, static_cast<int>(number % 251), 34);
    std::memcpy(out.data() + at, &number, sizeof number);
  }
}

Writer large_model() {
  Writer writer;
  writer.add_string("general.name", "large");
  writer.add_tensor("small", DType::f32, {3}, std::vector<std::byte>(12, std::byte{7}));
  writer.add_tensor("large", DType::q8_0, {1024, 3001}, number_blocks);  // 3 MiB
  writer.add_tensor("last", DType::q8_0, {32}, number_blocks);
  return writer;
}

TEST_F(WriterTest, AnyNumberOfThreadsWritesTheSameFile) {
  const Writer writer = large_model();
  const std::vector<std::byte> bytes = writer.bytes();
  for (const int threads : {1, 2, 5}) {
    const Result<void> written = writer.write(path(), threads);
    ASSERT_TRUE(written.ok()) << written.error().message;
    const std::string file = content();
    ASSERT_EQ(file.size(), bytes.size());
    EXPECT_EQ(std::memcmp(file.data(), bytes.data(), file.size()), 0) << threads;
    EXPECT_TRUE(File::open(path()).ok());
    std::filesystem::remove(path());
  }
}

TEST_F(WriterTest, AFileIsNoModelBeforeItIsWhole) {
  Writer writer;
  writer.add_tensor("t", DType::f32, {1}, [this](uint64_t, std::span<std::byte>) {
    EXPECT_FALSE(File::open(path()).ok());
  });
  ASSERT_TRUE(writer.write(path()).ok());
  EXPECT_TRUE(File::open(path()).ok());
}

TEST_F(WriterTest, AFileThatExistsIsLeftAlone) {
  std::ofstream(path()) << "mine";
  EXPECT_EQ(large_model().write(path()).error().message, path() + ": File exists");
  EXPECT_EQ(content(), "mine");
}

TEST_F(WriterTest, AWriteThatIsStoppedLeavesNoFile) {
  std::atomic<int> asked = 0;
  const auto stop_at_third = [&asked] { return ++asked >= 3; };
  const Result<void> written = large_model().write(path(), 2, stop_at_third);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, path() + ": Operation canceled");
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(WriterTest, AFileThatCannotBeWrittenWholeIsRemoved) {
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto usual = signal(SIGXFSZ, SIG_IGN);
  const rlimit tight = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const Result<void> written = large_model().write(path());
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, usual);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().kind, ErrorKind::io);
  EXPECT_EQ(written.error().message, path() + ": File too large");
  EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace octavo::gguf
