// Bodies that are JSON objects and those that are not; their members as typed values.
#include "server/json_body.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "server/fields.h"

namespace octavo::server {
namespace {

std::string message(std::string_view body) {
  const Result<Json> json = parse_json_object(body);
  return json.ok() ? "accepted" : json.error().message;
}

TEST(JsonBody, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(message(R"({"a": [1, {"b": "]]]"}]})"), "accepted");
  EXPECT_EQ(message(""), "the body is JSON that ends too early");
  EXPECT_EQ(message(R"({"a": )"), "the body is JSON that ends too early");
  EXPECT_EQ(message(R"({"a": x})"), "the body is not JSON: byte 7 is wrong");
  EXPECT_EQ(message(R"({"a": 1e999})"), "the body has a number that is too large");
  EXPECT_EQ(message("[]"), "the body: a JSON object expected, not array");
  EXPECT_EQ(message("{\"a\": \"\xFF\"}").substr(0, 20), "the body is not JSON");
}

TEST(JsonBody, DepthIsLimited) {
  const auto nested = [](size_t depth) {
    return R"({"a":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_EQ(message(nested(kMostJsonDepth)), "accepted");
  EXPECT_NE(message(nested(kMostJsonDepth + 1)), "accepted");
  EXPECT_NE(message(std::string(10'000'000, '[')), "accepted");
  // Brackets in a text are not depth.
  EXPECT_EQ(message(R"({"a": ")" + std::string(1000, '[') + R"(\""})"), "accepted");
}

// In an object that keeps its members in order, each is compared with all before it.
TEST(JsonBody, MembersAreLimited) {
  const auto object_of = [](int members) {
    std::string text = "{";
    for (int i = 0; i < members; ++i) text += fmt::format("{}\"{}\":1", i > 0 ? "," : "", i);
    text += '}';
    return text;
  };
  EXPECT_EQ(message(object_of(5000)), "accepted");
  EXPECT_EQ(message(object_of(6000)), "the body has objects of too many members");
  EXPECT_EQ(message(object_of(1'000'000)), "the body has objects of too many members");
  std::string many = R"({"a":[{})";
  for (int i = 0; i < 10; ++i) many.append(",").append(object_of(4000));
  EXPECT_EQ(message(many + "]}"), "the body has objects of too many members");
  // Elements of lists are compared with nothing.
  std::string list = R"({"a":[{"b":1})";
  for (int i = 0; i < 100'000; ++i) list += R"(,{"b":":,"})";
  EXPECT_EQ(message(list + "]}"), "accepted");
}

TEST(JsonBody, DumpAlwaysGivesUtf8) {
  EXPECT_EQ(dump(Json("a\xFFz")), "\"a\xEF\xBF\xBDz\"");
}

TEST(Fields, ReadTypesAndNameTheField) {
  const Json json = Json::parse(
      R"({"flag": true, "text": "x", "number": 5, "none": null, "big": 18446744073709551615,
          "tools": [], "functions": [1], "other": {}})");
  Fields fields(json);
  EXPECT_EQ(*fields.flag("flag", false), true);
  EXPECT_EQ(*fields.flag("none", true), true);
  EXPECT_EQ(*fields.text("text", ""), "x");
  EXPECT_EQ(*fields.integer("number", 0, 5, 1), 5);
  EXPECT_EQ(*fields.integer("missing", 0, 5, 1), 1);
  EXPECT_EQ(fields.integer("number", 0, 4, 1).error().message, "number: 5 is not in [0, 4]");
  EXPECT_FALSE(fields.integer("big", 0, INT64_MAX, 1).ok());
  EXPECT_EQ(fields.flag("text", false).error().message, "text: true or false expected, not string");
  EXPECT_EQ(fields.text("flag", "").error().message, "flag: a string expected, not boolean");
  for (const char* name : {"tools", "none", "missing"}) {
    EXPECT_TRUE(fields.refuse(name).ok()) << name << " asks for nothing";
  }
  EXPECT_EQ(fields.refuse("functions").error().message, "functions: not supported yet");
  EXPECT_TRUE(fields.refuse("number", {4, 5}).ok());
  EXPECT_EQ(fields.refuse("number", {"auto", 4}).error().message,
            "number: only \"auto\" is supported yet");
  EXPECT_EQ(fields.unknown(), (std::vector<std::string>{"other"}));
}

}  // namespace
}  // namespace octavo::server
