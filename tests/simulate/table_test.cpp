#include "simulate/table.h"

#include <gtest/gtest.h>

namespace octavo::simulate {
namespace {

TEST(Table, GroupsDigits) {
  EXPECT_EQ(grouped(0, 0), "0");
  EXPECT_EQ(grouped(999.6, 0), "1,000");
  EXPECT_EQ(grouped(15728, 0), "15,728");
  EXPECT_EQ(grouped(-1234567.891, 2), "-1,234,567.89");
  EXPECT_EQ(grouped(-123, 0), "-123");
}

const Table kTable = {
    .columns = {{"name", "memory"}, {"share_percent", "share %"}, {"paper", "paper"}},
    .rows = {{"blocks", Number{95.84, 1}, Number{1234, 0}}, {"power of two", Number{8, 1}, {}}}};

TEST(Table, PutsColumnsSideBySide) {
  EXPECT_EQ(format_table(kTable),
            "memory        share %  paper\n"
            "blocks           95.8  1,234\n"
            "power of two      8.0\n");
}

TEST(Table, IsJson) {
  EXPECT_EQ(to_json(kTable).dump(), R"([{"name":"blocks","share_percent":95.84,"paper":1234.0},)"
                                    R"({"name":"power of two","share_percent":8.0,"paper":null}])");
}

}  // namespace
}  // namespace octavo::simulate
