// DiskStore: whatever happens to the file, a block that is found is the right one.
#include "engine/disk_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "scratch_folder.h"

namespace octavo {
namespace {

constexpr int64_t kBlockBytes = 6000;
constexpr int64_t kRecordBytes = 8192;  // of short names
constexpr int64_t kLimit = int64_t{1} << 20;

// A block and its name, both made from a number.
struct Sample {
  std::vector<int32_t> prefix;
  std::string extra_key;
  int32_t group = 0;
  std::vector<std::byte> bytes;

  explicit Sample(uint32_t number) {
    std::mt19937 random(number);
    prefix.resize(16 * (1 + random() % 4));
    for (int32_t& token : prefix) token = static_cast<int32_t>(random() % 1000);
    if (number % 3 == 0) extra_key = "salt " + std::to_string(number);
    group = static_cast<int32_t>(number % 2);
    bytes.resize(kBlockBytes);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  }
  BlockName name() const { return {prefix, extra_key, group}; }
};

Result<DiskStore> open(const std::string& path, int64_t limit = kLimit) {
  return DiskStore::open(path, kBlockBytes, limit);
}

// A store that was opened and started.
std::unique_ptr<DiskStore> started(const std::string& path, int64_t limit = kLimit,
                                   const char* identity = "model a") {
  auto opened = open(path, limit);
  if (!opened) {
    ADD_FAILURE() << opened.error().message;
    std::abort();
  }
  auto store = std::make_unique<DiskStore>(std::move(opened).value());
  EXPECT_TRUE(store->start(identity).ok());
  return store;
}

// 1: found and right; 0: not found. Found and wrong is a failure.
int look_up(DiskStore& store, const Sample& sample) {
  std::vector<std::byte> out(kBlockBytes);
  if (!store.get(sample.name(), out)) return 0;
  EXPECT_EQ(out, sample.bytes);
  return 1;
}

void fill(DiskStore& store, uint32_t first, uint32_t end) {
  for (uint32_t i = first; i < end; ++i) {
    const Sample sample(i);
    ASSERT_TRUE(store.put(sample.name(), sample.bytes).ok());
  }
}

int count(DiskStore& store, uint32_t first, uint32_t end) {
  int found = 0;
  for (uint32_t i = first; i < end; ++i) found += look_up(store, Sample(i));
  return found;
}

class DiskStoreTest : public testing::Test {
 protected:
  ScratchFolder folder_;
  const std::string path_ = folder_.path("kv.cache");
};

TEST_F(DiskStoreTest, KeepsBlocksOverARestart) {
  {
    auto store = started(path_);
    EXPECT_EQ(count(*store, 0, 20), 0);
    fill(*store, 0, 20);
    fill(*store, 0, 20);  // once is enough
    EXPECT_EQ(store->records(), 20);
    EXPECT_EQ(count(*store, 0, 20), 20);
  }
  auto store = started(path_);
  EXPECT_EQ(store->records(), 20);
  EXPECT_EQ(count(*store, 0, 40), 20);
  fill(*store, 20, 40);
  EXPECT_EQ(count(*store, 0, 40), 40);
}

TEST_F(DiskStoreTest, ANameIsComparedWhole) {
  auto store = started(path_);
  Sample sample(3);
  ASSERT_FALSE(sample.extra_key.empty());
  ASSERT_TRUE(store->put(sample.name(), sample.bytes).ok());
  const auto is_found = [&store](const Sample& other) {
    std::vector<std::byte> out(kBlockBytes);
    return store->get(other.name(), out);
  };
  EXPECT_TRUE(is_found(sample));
  Sample other = sample;
  other.extra_key = "salt 4";
  EXPECT_FALSE(is_found(other));
  other.extra_key.clear();
  EXPECT_FALSE(is_found(other));
  other = sample;
  other.group += 1;
  EXPECT_FALSE(is_found(other));
  other = sample;
  other.prefix[0] += 1;
  EXPECT_FALSE(is_found(other));
  other = sample;
  other.prefix.pop_back();
  EXPECT_FALSE(is_found(other));
}

TEST_F(DiskStoreTest, TheOldestMakeRoom) {
  const int64_t limit = DiskStore::kPageBytes + 10 * kRecordBytes;
  auto store = started(path_, limit);
  fill(*store, 0, 25);
  EXPECT_EQ(count(*store, 0, 15), 0);
  EXPECT_EQ(count(*store, 15, 25), 10);
  EXPECT_LE(std::filesystem::file_size(path_), static_cast<uint64_t>(limit));
  store.reset();
  store = started(path_, limit);  // goes on where it stopped
  EXPECT_EQ(count(*store, 15, 25), 10);
  fill(*store, 25, 28);
  EXPECT_EQ(count(*store, 15, 18), 0);
  EXPECT_EQ(count(*store, 18, 28), 10);
  store.reset();
  store = started(path_, DiskStore::kPageBytes + 4 * kRecordBytes);  // a smaller limit
  EXPECT_EQ(store->records(), 4);
  fill(*store, 30, 40);
  EXPECT_EQ(count(*store, 36, 40), 4);
}

TEST_F(DiskStoreTest, AnotherIdentityStartsAnew) {
  {
    auto store = started(path_);
    fill(*store, 0, 5);
  }
  EXPECT_EQ(started(path_, kLimit, "model b")->records(), 0);
  EXPECT_EQ(started(path_)->records(), 0);
}

TEST_F(DiskStoreTest, RefusesWhatIsNotItsOwn) {
  std::ofstream(path_) << "Dear diary, ";
  EXPECT_EQ(open(path_).error().message, path_ + ": not a KV cache of Octavo; it is left alone");
  EXPECT_EQ(std::filesystem::file_size(path_), 12u);
  EXPECT_NE(open(folder_.path(".")).error().message.find(folder_.path(".")), std::string::npos);
  EXPECT_NE(open(folder_.path("no/such/folder")).error().message.find("No such file"),
            std::string::npos);
  const std::string pipe = folder_.path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(open(pipe).error().message, pipe + ": not a regular file");
  const std::string fresh = folder_.path("fresh");
  EXPECT_NE(open(fresh, 100).error().message.find("a limit of 100 bytes"), std::string::npos);
}

TEST_F(DiskStoreTest, OnlyItsOwnerReadsTheFile) {
  started(path_);
  struct stat status = {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  chmod(path_.c_str(), 0644);
  started(path_);
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(DiskStoreTest, OneProcessAtATime) {
  auto store = started(path_);
  const pid_t child = fork();
  if (child == 0) {
    const auto second = open(path_);
    const bool is_refused = !second && second.error().kind == ErrorKind::resource &&
                            second.error().message == path_ + ": another process uses it";
    _exit(is_refused ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  store.reset();
  EXPECT_TRUE(open(path_).ok());
}

// Bits are flipped, and the file is cut, wherever chance will have it: head, headers, names,
// blocks, padding. What is found afterwards is right, and the store goes on.
TEST_F(DiskStoreTest, DamageIsAMiss) {
  constexpr uint32_t kSamples = 12;
  {
    auto store = started(path_);
    fill(*store, 0, kSamples);
  }
  const std::string whole = folder_.path("whole");
  std::filesystem::copy_file(path_, whole);
  const auto size = std::filesystem::file_size(whole);
  int lost = 0;
  for (uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::filesystem::copy_file(whole, path_, std::filesystem::copy_options::overwrite_existing);
    std::mt19937 random(seed);
    if (seed % 4 == 0) std::filesystem::resize_file(path_, random() % size);
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int flips = seed % 4 == 0 ? 0 : 1 + static_cast<int>(random() % 8); flips > 0; --flips) {
      // The first bytes say whose the file is: without them it is refused, which is another test.
      // Half of the flips go into the first 256 bytes of a page, where heads, headers and names
      // are.
      auto at = static_cast<int64_t>(8 + random() % (size - 8));
      if (random() % 2 == 0) at = std::max<int64_t>(8, at / 4096 * 4096 + at % 256);
      file.seekg(at);
      const int byte = file.get();
      file.seekp(at);
      file.put(static_cast<char>(byte ^ (1 << random() % 8)));
    }
    file.close();
    auto store = started(path_);
    const int found = count(*store, 0, kSamples);
    if (found < static_cast<int>(kSamples)) ++lost;
    fill(*store, 0, kSamples);
    EXPECT_EQ(count(*store, 0, kSamples), static_cast<int>(kSamples));
  }
  EXPECT_GT(lost, 200) << "the damage hit nothing";
}

// A process dies in the middle of writing, again and again.
TEST_F(DiskStoreTest, AKilledWriterLeavesNothingWrong) {
  for (uint32_t round = 0; round < 10; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      auto store = started(path_, DiskStore::kPageBytes + 16 * kRecordBytes);
      for (uint32_t i = 0;; ++i) {
        const Sample sample(i % 64);
        (void)store->put(sample.name(), sample.bytes);
      }
    }
    // On a busy machine the child may take long to begin.
    const auto is_filled = [this] {
      std::error_code none;
      const auto size = std::filesystem::file_size(path_, none);
      return !none && size >= static_cast<uintmax_t>(DiskStore::kPageBytes + 3 * kRecordBytes);
    };
    for (int i = 0; i < 10000 && !is_filled(); ++i) usleep(1000);
    usleep(3000 * round);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    auto store = started(path_, DiskStore::kPageBytes + 16 * kRecordBytes);
    EXPECT_GT(count(*store, 0, 64), 0);
  }
}

TEST_F(DiskStoreTest, AFullDiskIsAnError) {
  auto store = started(path_);
  fill(*store, 0, 2);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight = {static_cast<rlim_t>(DiskStore::kPageBytes + 3 * kRecordBytes - 100),
                        before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const Sample sample(2);
  const Result<void> written = store->put(sample.name(), sample.bytes);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, path_ + ": cannot be written: File too large");
  EXPECT_EQ(count(*store, 0, 3), 2);
}

}  // namespace
}  // namespace octavo
