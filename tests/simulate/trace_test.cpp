#include "simulate/trace.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace octavo::simulate {
namespace {

constexpr const char* kHeading = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

std::string error_of(std::string_view content) {
  const Result<Workload> workload = parse_trace("t", content);
  return workload.ok() ? "" : workload.error().message;
}

TEST(Trace, ReadsAzures) {
  const std::string content = std::string("\xEF\xBB\xBF") + kHeading +
                              "2023-12-31 23:59:59.5000000,374,44\r\n"
                              "\n"
                              "2024-01-01 00:00:01.2500000,1,109";
  const Result<Workload> workload = parse_trace("t", content);
  ASSERT_TRUE(workload.ok()) << workload.error().message;
  ASSERT_EQ(workload->requests.size(), 2u);
  EXPECT_EQ(workload->requests[0].prompt_length, 374);
  EXPECT_EQ(workload->requests[0].output_length, 44);
  EXPECT_EQ(workload->requests[0].arrival_s, 0);
  EXPECT_TRUE(workload->requests[0].pieces.empty());
  EXPECT_EQ(workload->requests[1].prompt_length, 1);
  EXPECT_EQ(workload->requests[1].arrival_s, 1.75);
}

TEST(Trace, ReadsMooncakes) {
  const Result<Workload> workload = parse_trace(
      "t",
      R"({"timestamp": 1000, "input_length": 513, "output_length": 5, "hash_ids": [0, 7]}
         {"timestamp": 3500, "input_length": 512, "output_length": 1, "hash_ids": [0], "more": {}})");
  ASSERT_TRUE(workload.ok()) << workload.error().message;
  ASSERT_EQ(workload->requests.size(), 2u);
  EXPECT_EQ(workload->requests[0].prompt_length, 513);
  EXPECT_EQ(workload->requests[0].pieces, (std::vector<int32_t>{0, 7}));
  EXPECT_EQ(workload->requests[1].arrival_s, 2.5);
  EXPECT_EQ(workload->requests[1].final_length(), 512);
}

TEST(Trace, NamesTheLineThatIsWrong) {
  const std::string heading = kHeading;
  EXPECT_EQ(error_of(""), "t: no requests");
  EXPECT_EQ(error_of("\n \n"), "t: no requests");
  EXPECT_EQ(error_of(heading), "t: no requests");
  EXPECT_EQ(error_of("\na,b\n"),
            "t:2: neither the heading 'TIMESTAMP,ContextTokens,GeneratedTokens' nor a JSON object");
  EXPECT_EQ(error_of(heading + "2023-11-16 18:15:46.6,374\n"),
            "t:2: GeneratedTokens: '' is not a number from 1 to 33554432");
  EXPECT_EQ(error_of(heading + "2023-11-16 18:15:46.6,0,1\n"),
            "t:2: ContextTokens: '0' is not a number from 1 to 33554432");
  EXPECT_EQ(error_of(heading + "2023-11-16 18:15:46.6,12x,1\n"),
            "t:2: ContextTokens: '12x' is not a number from 1 to 33554432");
  EXPECT_EQ(error_of(heading + "2023-11-16 18:15:46.6,1,1,1\n"),
            "t:2: GeneratedTokens: '1,1' is not a number from 1 to 33554432");
  EXPECT_EQ(error_of(heading + "2023-11-16 25:15:46.6,1,1\n"),
            "t:2: TIMESTAMP: '2023-11-16 25:15:46.6' is not a time such as 2023-11-16 18:15:46.68");
  EXPECT_EQ(error_of(heading + "2023-11-16 18:15:46,1,1\n2023-11-16 18:15:45,1,1\n"),
            "t:3: the time is before that of the request above");
}

TEST(Trace, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(error_of("{"), "t:1: not a JSON object");
  EXPECT_EQ(error_of("{}"), "t:1: timestamp is missing");
  EXPECT_EQ(error_of(R"({"timestamp": -1})"),
            "t:1: timestamp: -1 is not an integer from 0 to 4503599627370496");
  EXPECT_EQ(error_of(R"({"timestamp": 18446744073709551615})"),
            "t:1: timestamp: 18446744073709551615 is not an integer from 0 to 4503599627370496");
  EXPECT_EQ(error_of(R"({"timestamp": 0, "input_length": "9"})"),
            "t:1: input_length: \"9\" is not an integer from 1 to 33554432");
  const std::string begin = R"({"timestamp": 0, "input_length": 600, "output_length": 2)";
  EXPECT_EQ(error_of(begin + "}"), "t:1: hash_ids: an array of integers expected");
  EXPECT_EQ(error_of(begin + R"(, "hash_ids": [1]})"),
            "t:1: hash_ids: 1 ids for 600 prompt tokens, 2 expected");
  EXPECT_EQ(error_of(begin + R"(, "hash_ids": [1, -2]})"),
            "t:1: hash_ids: -2 is not an integer from 0 to 4194303");
  EXPECT_EQ(error_of(begin + R"(, "hash_ids": [1, 4194304]})"),
            "t:1: hash_ids: 4194304 is not an integer from 0 to 4194303");
}

TEST(Trace, BearsDeepNesting) {
  const std::string deep(200'000, '[');
  EXPECT_EQ(error_of(R"({"timestamp": )" + deep), "t:1: not a JSON object");
  const std::string long_line = R"({"timestamp": )" + std::string(size_t{1} << 20, '[');
  EXPECT_EQ(error_of(long_line), "t:1: the line has 1048590 bytes, at most 1048576 are read");
}

// Lines with random damage are read or refused with their place, and what is read keeps its limits.
TEST(Trace, BearsRandomDamage) {
  const std::string azure = std::string(kHeading) + "2023-11-16 18:15:46.6805900,374,44\n";
  const std::string mooncake =
      R"({"timestamp": 27, "input_length": 1025, "output_length": 5, "hash_ids": [1, 2, 3]})"
      "\n";
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 4000; ++i) {
      std::string content = i % 2 == 0 ? azure : mooncake;
      const size_t begin = i % 2 == 0 ? std::string_view(kHeading).size() : 0;
      for (uint64_t damage = random() % 4; damage < 4; ++damage) {
        const size_t at = begin + random() % (content.size() - begin);
        constexpr std::string_view kBytes = "0123456789-,:.{}[]\"\\ eE+\n\r\0\xFF";
        const char byte = kBytes[random() % kBytes.size()];
        switch (random() % 3) {
          case 0:
            content[at] = byte;
            break;
          case 1:
            content.insert(at, 1, byte);
            break;
          default:
            content.erase(at, 1);
        }
      }
      const Result<Workload> workload = parse_trace("t", content);
      if (!workload) {
        EXPECT_TRUE(workload.error().message.starts_with("t:")) << workload.error().message;
        continue;
      }
      for (const Request& request : workload->requests) {
        ASSERT_GE(request.prompt_length, 1);
        ASSERT_GE(request.output_length, 1);
        ASSERT_LE(request.prompt_length, kMostTokens);
        ASSERT_LE(request.output_length, kMostTokens);
        ASSERT_GE(request.arrival_s, 0);
        ASSERT_TRUE(request.pieces.empty() ||
                    std::ssize(request.pieces) ==
                        (request.prompt_length + kPieceTokens - 1) / kPieceTokens);
      }
    }
  }
}

// The published traces, where they are at hand.
TEST(Trace, ReadsThePublishedFiles) {
  const std::filesystem::path folder = std::filesystem::path(OCTAVO_SHARED_DATA) / "traces";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  for (const auto& [name, requests] : {std::pair{"AzureLLMInferenceTrace_conv.csv", 19366},
                                       std::pair{"mooncake_conversation_trace.jsonl", 12031}}) {
    std::ifstream file(folder / name);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    const Result<Workload> workload = parse_trace(name, content);
    ASSERT_TRUE(workload.ok()) << workload.error().message;
    EXPECT_EQ(std::ssize(workload->requests), requests);
    EXPECT_GT(workload->requests.back().arrival_s, 3000);
    EXPECT_LT(workload->requests.back().arrival_s, 4000);
  }
}

}  // namespace
}  // namespace octavo::simulate
