#include "text/stop_matcher.h"

#include "text/support.h"

namespace octavo::text {
namespace {

StopStrings must_create_stops(const std::vector<std::string>& strings) {
  auto made = StopStrings::create(strings);
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBeAStop) {
  const StopStrings stops = must_create_stops({"\nUser:", "###"});
  StopMatcher matcher(stops);
  EXPECT_EQ(matcher.push("Hello").text, "Hello");
  EXPECT_EQ(matcher.push(" there\nUs").text, " there");
  EXPECT_EQ(matcher.push("ed #").text, "\nUsed ");
  EXPECT_EQ(matcher.push("# x").text, "## x");
  EXPECT_EQ(matcher.push("\nUser").text, "");
  const StopMatcher::Output last = matcher.push(": hi");
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(last.stopped, 0);
}

TEST(StopMatcher, ShowsTheTextBeforeTheStop) {
  const StopStrings stops = must_create_stops({"abcd", "bc"});
  StopMatcher matcher(stops);
  const StopMatcher::Output out = matcher.push("xxabcd");
  EXPECT_EQ(out.text, "xxa");  // "bc" ends first
  EXPECT_EQ(out.stopped, 1);
}

TEST(StopMatcher, OfTwoThatEndTogetherTheLongestCounts) {
  const StopStrings stops = must_create_stops({"cd", "abcd"});
  StopMatcher matcher(stops);
  const StopMatcher::Output out = matcher.push("xabcd");
  EXPECT_EQ(out.text, "x");
  EXPECT_EQ(out.stopped, 1);
}

TEST(StopMatcher, FlushGivesWhatWasHeld) {
  const StopStrings stops = must_create_stops({"aab"});
  StopMatcher matcher(stops);
  EXPECT_EQ(matcher.push("caaa").text, "ca");
  EXPECT_EQ(matcher.flush(), "aa");
  EXPECT_EQ(matcher.push("b").text, "b");
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  const StopStrings stops = must_create_stops({});
  EXPECT_TRUE(stops.empty());
  StopMatcher matcher(stops);
  EXPECT_EQ(matcher.push("anything").text, "anything");
}

TEST(StopMatcher, RefusesWhatItCanNotMatch) {
  EXPECT_EQ(StopStrings::create({"a", ""}).error().message, "stop: string 1 is empty");
  EXPECT_NE(StopStrings::create({"\xFF"}).error().message.find("not UTF-8"), std::string::npos);
  EXPECT_FALSE(StopStrings::create(std::vector<std::string>(65, "a")).ok());
  EXPECT_FALSE(StopStrings::create({std::string(16385, 'a')}).ok());
}

// The definition: the first place where any stop string ends, and the longest that ends there.
TEST(StopMatcher, AgreesWithSearchingTheWholeText) {
  const uint64_t seed = 20240510;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto random_letters = [&random](size_t least, size_t most) {
    std::string letters;
    const size_t count = least + random() % (most - least + 1);
    while (letters.size() < count) letters += "abc"[random() % 3];
    return letters;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> strings(random() % 5);
    for (std::string& each : strings) each = random_letters(1, 6);
    const std::string text = random_letters(0, 60);
    size_t end = std::string::npos;
    size_t length = 0;
    for (const std::string& each : strings) {
      const size_t at = text.find(each);
      if (at == std::string::npos) continue;
      const size_t its_end = at + each.size();
      if (end == std::string::npos || its_end < end || (its_end == end && each.size() > length)) {
        end = its_end;
        length = each.size();
      }
    }
    const std::string expected = end == std::string::npos ? text : text.substr(0, end - length);

    const StopStrings stops = must_create_stops(strings);
    StopMatcher matcher(stops);
    std::string shown;
    bool stopped = false;
    for (size_t at = 0; at < text.size() && !stopped;) {
      const size_t count = 1 + random() % 7;
      const StopMatcher::Output out = matcher.push(std::string_view(text).substr(at, count));
      shown += out.text;
      stopped = out.stopped >= 0;
      if (stopped) {
        ASSERT_EQ(strings[static_cast<size_t>(out.stopped)].size(), length);
      }
      // Never more than could be part of a stop string is held back, nor less.
      ASSERT_EQ(expected.substr(0, shown.size()), shown);
      at += count;
    }
    if (!stopped) shown += matcher.flush();
    ASSERT_EQ(stopped, end != std::string::npos);
    ASSERT_EQ(shown, expected);
  }
}

}  // namespace
}  // namespace octavo::text
