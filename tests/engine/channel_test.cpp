#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "engine/request_channel.h"

namespace octavo {
namespace {

TEST(RequestChannel, JoinsWhatASlowReaderDidNotTake) {
  RequestChannel channel(2);
  channel.push({.output = 0, .text = "a", .tokens = {{.token = 1}}});
  channel.push({.output = 1, .text = "x"});
  channel.push({.output = 0, .text = "b", .tokens = {{.token = 2}}, .finish = FinishReason::stop});
  auto first = channel.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->output, 0);
  EXPECT_EQ(first->text, "ab");
  EXPECT_EQ(first->tokens.size(), 2u);
  EXPECT_EQ(first->finish, FinishReason::stop);
  EXPECT_EQ(channel.next()->text, "x");
  channel.push({.output = 1, .finish = FinishReason::length});
  EXPECT_EQ(channel.next()->finish, FinishReason::length);
  EXPECT_FALSE(channel.next());
  EXPECT_FALSE(channel.next());
}

TEST(RequestChannel, EndEndsWhatRunsAndLeavesWhatIsOver) {
  RequestChannel channel(3);
  channel.push({.output = 1, .text = "done", .finish = FinishReason::stop});
  channel.push({.output = 2, .text = "half"});
  channel.end(3, FinishReason::cancelled);
  channel.end(3, FinishReason::no_memory);
  std::vector<FinishReason> finish(3, FinishReason::none);
  while (auto event = channel.next()) finish[static_cast<size_t>(event->output)] = event->finish;
  EXPECT_EQ(finish,
            (std::vector{FinishReason::cancelled, FinishReason::stop, FinishReason::cancelled}));
}

TEST(RequestChannel, ReaderWaitsForTheWriter) {
  RequestChannel channel(1);
  std::thread writer([&channel] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    channel.push({.text = "late", .finish = FinishReason::stop});
  });
  EXPECT_EQ(channel.next()->text, "late");
  writer.join();
}

TEST(RequestChannel, AReaderThatDoesNotWaitIsCalledWhenThereIsSomething) {
  RequestChannel channel(2);
  EXPECT_FALSE(channel.try_next());
  EXPECT_FALSE(channel.finished());
  int calls = 0;
  channel.on_event([&calls] { ++calls; });
  EXPECT_EQ(calls, 0);
  channel.push({.output = 0, .text = "a"});
  channel.push({.output = 0, .text = "b"});
  channel.push({.output = 1, .text = "c"});
  EXPECT_EQ(calls, 1) << "the reader knows already";
  EXPECT_EQ(channel.try_next()->text, "ab");
  EXPECT_EQ(channel.try_next()->text, "c");
  EXPECT_FALSE(channel.try_next());
  channel.push({.output = 0, .text = "d", .finish = FinishReason::stop});
  EXPECT_EQ(calls, 2);
  channel.on_event(nullptr);
  EXPECT_EQ(channel.try_next()->text, "d");
  channel.end(2, FinishReason::cancelled);
  EXPECT_EQ(calls, 2);
  channel.on_event([&calls] { ++calls; });
  EXPECT_EQ(calls, 3) << "an event is there already";
  EXPECT_FALSE(channel.finished());
  EXPECT_EQ(channel.try_next()->finish, FinishReason::cancelled);
  EXPECT_TRUE(channel.finished());
}

TEST(Mailbox, RefusesWhatIsTooMuchAndWhatComesTooLate) {
  Mailbox mailbox;
  EXPECT_TRUE(mailbox.submit({.key = 1}, 2));
  EXPECT_TRUE(mailbox.submit({.key = 2}, 2));
  EXPECT_FALSE(mailbox.submit({.key = 3}, 2));
  EXPECT_EQ(mailbox.waiting(), 2);
  EXPECT_EQ(mailbox.take().submissions.size(), 2u);
  EXPECT_FALSE(mailbox.submit({.key = 4}, 2));  // both still wait, in the scheduler
  mailbox.report_waiting(1);
  EXPECT_TRUE(mailbox.submit({.key = 5}, 2));
  mailbox.cancel(5);
  mailbox.wait();
  const Mailbox::Mail mail = mailbox.take();
  EXPECT_EQ(mail.cancellations, (std::vector<uint64_t>{5}));
  EXPECT_FALSE(mail.stop);
  mailbox.stop();
  EXPECT_FALSE(mailbox.submit({.key = 6}, 2));
  EXPECT_TRUE(mailbox.take().stop);
  EXPECT_TRUE(mailbox.take().stop);
}

TEST(Mailbox, WaitEndsWithTheTime) {
  Mailbox mailbox;
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(mailbox.wait_until(now + std::chrono::milliseconds(20)));
  EXPECT_GE(std::chrono::steady_clock::now(), now + std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace octavo
