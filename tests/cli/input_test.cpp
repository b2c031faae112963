#include "cli/input.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace octavo::cli {
namespace {

TEST(ParseBytes, UnderstandsUnits) {
  const auto bytes = [](const char* text) { return parse_bytes(text).value(); };
  EXPECT_EQ(bytes("0"), 0);
  EXPECT_EQ(bytes("1000"), 1000);
  EXPECT_EQ(bytes("3K"), 3 << 10);
  EXPECT_EQ(bytes("512MiB"), 512 << 20);
  EXPECT_EQ(bytes("2G"), int64_t{2} << 30);
  EXPECT_EQ(bytes("2GB"), int64_t{2} << 30);
  EXPECT_EQ(bytes("8388607TiB"), int64_t{8388607} << 40);
}

TEST(ParseBytes, RefusesTheRest) {
  for (const char* text :
       {"", "K", "-1", "1.5G", "1 G", "1X", "1GiBs", "1Gi", "99999999999999999999"}) {
    const auto bytes = parse_bytes(text);
    ASSERT_FALSE(bytes.ok()) << text;
    EXPECT_EQ(bytes.error().message,
              std::string("'") + text + "' is not an amount of memory such as 512MiB or 2GiB");
  }
  EXPECT_EQ(parse_bytes("8388608TiB").error().message,
            "'8388608TiB' is more memory than can be counted");
}

TEST(ReadInput, ReadsAFileOrItsBeginning) {
  const std::string path = ::testing::TempDir() + "read_input_test";
  std::ofstream(path, std::ios::binary) << std::string("a\0b\n", 4) << std::string(100'000, 'x');
  EXPECT_EQ(read_input(path)->size(), 100'004u);
  EXPECT_EQ(*read_input(path, 3), std::string("a\0b", 3));
  std::filesystem::remove(path);
  const auto absent = read_input(path);
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().kind, ErrorKind::not_found);
  EXPECT_EQ(absent.error().message, path + ": no such file");
  EXPECT_FALSE(read_input(::testing::TempDir()).ok());
}

}  // namespace
}  // namespace octavo::cli
