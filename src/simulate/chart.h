// Charts as SVG: bars and lines, drawn on their own, readable on light and on dark.
//
// The drawing has no script and no outside parts. It follows the reader's colour scheme where the
// viewer tells it, and brings its own background. Equal charts give equal bytes. Stateless.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::simulate {

struct Series {
  std::string name;
  std::vector<double> values;  // one per label; not a number: none is drawn
};

struct Chart {
  enum class Kind {
    stacked_bars,  // a bar per label, its series one after the other
    bars,          // a bar per label and series
    lines,         // a line per series over the labels, which stand at equal distances
  };
  Kind kind = Kind::bars;
  std::string title;
  std::string label_title;          // what the labels are, under the axis of lines
  std::vector<std::string> labels;  // at least one
  std::vector<Series> series;       // at most four
  std::string unit;                 // after each value: "%", " ms"
  int decimals = 0;
  double minimum = 0;
  double maximum = 0;        // 0: from the values
  bool logarithmic = false;  // lines only: values above 0 on a logarithmic scale
};

// One under the other, below a title and lines that say what they show.
std::string draw_svg(std::string_view title, std::span<const std::string> lines,
                     std::span<const Chart> charts);

}  // namespace octavo::simulate
