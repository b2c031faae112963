#include "cli/terminal.h"

#include <gtest/gtest.h>

#include "cli/console.h"
#include "cli/progress_bar.h"

namespace octavo::cli {
namespace {

TEST(Terminal, LetsTextThroughAndControlsNot) {
  EXPECT_EQ(without_controls("a\tb\ncé 🙂"), "a\tb\ncé 🙂");
  EXPECT_EQ(without_controls("\x1b[31mred\x1b]0;title\x07\r\x08\x7f"), "[31mred]0;title");
  EXPECT_EQ(without_controls("\xC2\x9B"
                             "31m\xC2\x80\xC2\xA0"),
            "31m\xC2\xA0");
  EXPECT_EQ(without_controls("\x9B"
                             "31m\xFF"),
            "31m");
  EXPECT_EQ(without_controls(std::string_view("\0", 1)), "");
}

TEST(Terminal, DimsOnlyWithColour) {
  EXPECT_EQ(dim("a", false), "a");
  EXPECT_EQ(dim("a", true), "\x1b[2ma\x1b[0m");
}

TEST(ProgressLine, ShowsTheFiguresAndFitsTheTerminal) {
  EngineStats stats;
  stats.running = 3;
  stats.waiting = 4;
  stats.blocks_in_use = 5;
  stats.blocks_total = 60;
  EXPECT_EQ(progress_line(stats, 1, 4, 12.34, 120),
            "[=====               ] 1/4  12.3 tokens/s  3 running  4 waiting  5/60 blocks");
  EXPECT_EQ(progress_line(stats, 4, 4, 0, 30).size(), 29u);
  EXPECT_EQ(progress_line(stats, 0, 4, 0, 0), "");
}

TEST(FiguresLine, SaysWhatAnAnswerTook) {
  Answer answer;
  answer.tokens = 24;
  answer.tokens_per_second = 31.04;
  answer.first_token_seconds = 0.123;
  answer.prompt_tokens = 64;
  answer.prefix_tokens = 32;
  answer.stats.blocks_cached = 7;
  answer.finish = FinishReason::cancelled;
  EXPECT_EQ(
      figures_line(answer),
      "24 tokens · 31.0 tokens/s · first in 0.12 s · reused 32 of 64 tokens · KV blocks: 0 in "
      "use, 7 cached · stopped");
  answer.finish = FinishReason::no_memory;
  EXPECT_TRUE(figures_line(answer).ends_with(
      " · the device has no memory left for the KV cache: other programs took it"));
}

}  // namespace
}  // namespace octavo::cli
