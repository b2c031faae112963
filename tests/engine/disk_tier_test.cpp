// DiskTier: its queues, its thread, and that no error of the disk reaches a request.
#include "engine/disk_tier.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <future>
#include <semaphore>
#include <thread>

#include "backend/create_backend.h"
#include "backend/cuda/create_cuda_backend.h"
#include "engine/kv_identity.h"
#include "engine_run.h"
#include "scratch_folder.h"

namespace octavo {
namespace {

using Kept = DiskTier::Kept;

constexpr int64_t kBlockBytes = 8192;
constexpr int64_t kLimit = int64_t{8} << 20;

class DiskTierTest : public testing::Test {
 protected:
  std::unique_ptr<DiskTier> make(DiskTier::Identity identity = [](const std::stop_token&) {
    return std::optional<std::string>("model a");
  }) {
    auto store = DiskStore::open(path_, kBlockBytes, kLimit);
    EXPECT_TRUE(store.ok());
    return std::make_unique<DiskTier>(std::move(store).value(), kBlockBytes, std::move(identity),
                                      [this] { woken_.release(); });
  }

  static std::vector<std::byte> block(int fill) {
    return std::vector<std::byte>(kBlockBytes, static_cast<std::byte>(fill));
  }

  DiskRead read(DiskTier& tier, std::vector<DiskBlock> blocks) {
    tier.read({.key = 7, .prompt = prompt_, .extra_key = "", .blocks = std::move(blocks)});
    woken_.acquire();
    auto answer = tier.take_read();
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(DiskRead{});
  }

  ScratchFolder folder_;
  const std::string path_ = folder_.path("kv.cache");
  std::counting_semaphore<> woken_{0};
  const std::vector<int32_t> prompt_ = std::vector<int32_t>(64, 5);
};

TEST_F(DiskTierTest, WhatIsStoredIsReadAfterARestart) {
  const std::span prompt(prompt_);
  {
    auto tier = make();
    EXPECT_EQ(tier->store({prompt.first(16), "", 0}, block(1).data()), Kept::yes);
    EXPECT_EQ(tier->store({prompt.first(32), "", 0}, block(2).data()), Kept::yes);
    ASSERT_TRUE(tier->drain(std::chrono::seconds(60)));
  }
  auto tier = make();
  const DiskRead answer = read(*tier, {{16, 0, {}}, {32, 0, {}}, {48, 0, {}}});
  EXPECT_EQ(answer.key, 7u);
  EXPECT_EQ(answer.blocks[0].bytes, block(1));
  EXPECT_EQ(answer.blocks[1].bytes, block(2));
  EXPECT_TRUE(answer.blocks[2].bytes.empty());
  EXPECT_TRUE(tier->contains({prompt.first(32), "", 0}));
  EXPECT_FALSE(tier->contains({prompt.first(32), "salt", 0}));
  EXPECT_EQ(tier->counters().blocks_read, 2);
  EXPECT_EQ(tier->counters().records, 2);
}

TEST_F(DiskTierTest, QueueIsBoundedAndNeverWaits) {
  std::promise<void> go;
  auto tier = make([&go](const std::stop_token&) {
    go.get_future().wait();
    return std::optional<std::string>("model a");
  });
  const auto most = DiskTier::kMostQueuedBytes / kBlockBytes;
  const std::vector<std::byte> bytes = block(1);
  std::vector<int32_t> prefix(16, 0);
  for (int64_t i = 0; i < most; ++i) {
    prefix[0] = static_cast<int32_t>(i);
    EXPECT_EQ(tier->store({prefix, "", 0}, bytes.data()), Kept::yes);
  }
  EXPECT_EQ(tier->store({prompt_, "", 0}, bytes.data()), Kept::full);
  EXPECT_EQ(tier->counters().blocks_refused, 1);
  go.set_value();
  ASSERT_TRUE(tier->drain(std::chrono::seconds(60)));
  EXPECT_EQ(tier->store({prompt_, "", 0}, bytes.data()), Kept::yes);
}

TEST_F(DiskTierTest, StopsWhileItReadsTheModel) {
  const std::span prompt(prompt_);
  {
    auto tier = make([](const std::stop_token& stop) -> std::optional<std::string> {
      while (!stop.stop_requested()) std::this_thread::yield();
      return std::nullopt;
    });
    EXPECT_EQ(tier->store({prompt.first(16), "", 0}, block(1).data()), Kept::yes);
  }
  auto tier = make();
  EXPECT_TRUE(read(*tier, {{16, 0, {}}}).blocks[0].bytes.empty());
}

TEST_F(DiskTierTest, AFullDiskSwitchesItOffAndIsSaidOnce) {
  const std::span prompt(prompt_);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  auto tier = make();
  read(*tier, {{16, 0, {}}});  // it has started
  testing::internal::CaptureStderr();
  const rlimit tight = {static_cast<rlim_t>(DiskStore::kPageBytes + 5000), before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  for (size_t tokens = 16; tokens <= 64; tokens += 16) {
    tier->store({prompt.first(tokens), "", 0}, block(1).data());
  }
  ASSERT_TRUE(tier->drain(std::chrono::seconds(60)));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(
      testing::internal::GetCapturedStderr(),
      "octavo: kv-disk: " + path_ + ": cannot be written: File too large; the disk tier is off\n");
  EXPECT_EQ(tier->store({prompt.first(16), "", 0}, block(1).data()), Kept::off);
  EXPECT_TRUE(read(*tier, {{16, 0, {}}}).blocks[0].bytes.empty());  // answered all the same
}

TEST(KvIdentity, FollowsTheModelsContent) {
  const auto hash = [](const std::string& model) {
    auto file = gguf::File::open(golden_model(model));
    EXPECT_TRUE(file.ok());
    return content_hash(*file, {}).value_or("stopped");
  };
  EXPECT_EQ(hash("llama"), hash("llama"));
  EXPECT_EQ(hash("llama").size(), 32u);
  EXPECT_NE(hash("llama"), hash("llama_rope_linear"));  // the same weights, turned otherwise
  EXPECT_NE(hash("llama"), hash("qwen3"));
  std::stop_source stop;
  stop.request_stop();
  auto file = gguf::File::open(golden_model("llama"));
  EXPECT_FALSE(content_hash(*file, stop.get_token()).has_value());
}

TEST(KvIdentity, FollowsTheArithmeticAndNotTheDevicesName) {
  const auto mode = [](const char* device, bool deterministic) {
    return arithmetic_mode({.device = device, .deterministic = deterministic});
  };
  EXPECT_EQ(mode("cpu", true), mode("cpu", false));
  if (cuda::device_count() == 0) {
    EXPECT_EQ(mode("auto", false), mode("cpu", false));
    return;
  }
  EXPECT_EQ(mode("auto", false), mode("cuda:0", false));
  EXPECT_EQ(mode("cuda", false), mode("cuda:0", false));
  EXPECT_NE(mode("cuda", true), mode("cuda", false));
  EXPECT_NE(mode("cpu", false), mode("cuda", false));
}

TEST(KvIdentity, FollowsTheCachesShape) {
  KvShape shape;
  shape.layers_per_block = 2;
  shape.kv_heads = 2;
  shape.head_dim = 16;
  shape.groups = {{.window = 0, .layers = {0, 1}}};
  const std::string identity = kv_identity("m", shape, "cpu");
  EXPECT_EQ(kv_identity("m", shape, "cpu"), identity);
  EXPECT_NE(kv_identity("n", shape, "cpu"), identity);
  EXPECT_NE(kv_identity("m", shape, "cuda"), identity);
  const auto changed = [&shape](auto change) {
    KvShape other = shape;
    change(other);
    return kv_identity("m", other, "cpu");
  };
  EXPECT_NE(changed([](KvShape& s) { s.block_size = 32; }), identity);
  EXPECT_NE(changed([](KvShape& s) { s.type = DType::f32; }), identity);
  EXPECT_NE(changed([](KvShape& s) { s.groups[0].window = 8; }), identity);
  EXPECT_NE(changed([](KvShape& s) { s.groups[0].layers = {1, 0}; }), identity);
}

}  // namespace
}  // namespace octavo
