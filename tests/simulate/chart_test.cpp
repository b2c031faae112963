#include "simulate/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <regex>
#include <string>

namespace octavo::simulate {
namespace {

// The first fault of a document as far as this project's drawings go: tags that do not nest,
// attributes without quotes, a '<' or '&' that is not markup. Empty when it is well-formed.
std::string fault_of(const std::string& xml) {
  static const std::regex kTag(
      R"(<(/?)([a-z]+)((?:\s+[a-zA-Z-]+="[^"<&]*(?:&[a-z]+;[^"<&]*)*")*)\s*(/?)>)");
  std::vector<std::string> open;
  size_t at = 0;
  while (at < xml.size()) {
    const size_t tag = std::min(xml.find('<', at), xml.size());
    static const std::regex kText("([^&>]|&(amp|lt|gt|quot);)*");
    if (!std::regex_match(xml.substr(at, tag - at), kText)) return "text: " + xml.substr(at, 60);
    if (tag == xml.size()) break;
    std::smatch match;
    const auto begin = xml.begin() + static_cast<ptrdiff_t>(tag);
    if (!std::regex_search(begin, xml.end(), match, kTag, std::regex_constants::match_continuous)) {
      return "tag: " + xml.substr(tag, 60);
    }
    if (match[1].length() > 0) {
      if (open.empty() || open.back() != match[2]) return "closes: " + match[0].str();
      open.pop_back();
    } else if (match[4].length() == 0) {
      open.push_back(match[2]);
    }
    at = tag + static_cast<size_t>(match.length());
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

std::vector<Chart> all_kinds() {
  Chart stacked{.kind = Chart::Kind::stacked_bars,
                .title = "Use & <waste>",
                .labels = {"a", "b \"quoted\""},
                .series = {{"tokens", {20, 95.8}}, {"rest", {80, 4.2}}},
                .unit = "%",
                .decimals = 1,
                .maximum = 100};
  Chart bars = stacked;
  bars.kind = Chart::Kind::bars;
  bars.series[1].values[0] = std::nan("");
  Chart lines = stacked;
  lines.kind = Chart::Kind::lines;
  Chart logarithmic = bars;
  logarithmic.kind = Chart::Kind::lines;
  logarithmic.logarithmic = true;
  logarithmic.minimum = 1;
  return {stacked, bars, lines, logarithmic};
}

TEST(Chart, TheCheckFindsFaults) {
  EXPECT_EQ(fault_of("<a x=\"1\"><b/>t &amp; u</a>"), "");
  EXPECT_NE(fault_of("<a><b></a></b>"), "");
  EXPECT_NE(fault_of("<a>"), "");
  EXPECT_NE(fault_of("<a x=1/>"), "");
  EXPECT_NE(fault_of("<a>R&D</a>"), "");
  EXPECT_NE(fault_of("<a x=\"R&D\"/>"), "");
}

TEST(Chart, IsWellFormed) {
  const std::string svg =
      draw_svg("T & <U>\x01", std::vector<std::string>{"s \xFF 'x' > y"}, all_kinds());
  EXPECT_EQ(fault_of(svg), "");
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "));
  EXPECT_NE(svg.find("Use &amp; &lt;waste&gt;"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Chart, DrawsBarsAsLongAsTheirValues) {
  const std::vector<Chart> chart = {
      {.title = "c", .labels = {"a", "b"}, .series = {{"s", {50, 100}}}, .maximum = 100}};
  const std::string svg = draw_svg("t", {}, chart);
  const std::regex bar("class=\"f0\"[^>]* width=\"([0-9.]+)\"");
  std::vector<double> widths;
  for (std::sregex_iterator i(svg.begin(), svg.end(), bar); i != std::sregex_iterator(); ++i) {
    widths.push_back(std::stod((*i)[1]));
  }
  ASSERT_EQ(widths.size(), 2u);
  EXPECT_NEAR(widths[1], 2 * widths[0], 0.2);
}

TEST(Chart, OfZerosIsDrawn) {
  std::vector<Chart> charts = all_kinds();
  charts.pop_back();
  for (Chart& chart : charts) {
    chart.maximum = 0;
    for (Series& series : chart.series) series.values = {0, 0};
  }
  const std::string svg = draw_svg("t", {}, charts);
  EXPECT_EQ(fault_of(svg), "");
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace octavo::simulate
