#include "simulate/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "base/utf8.h"

namespace octavo::simulate {
namespace {

constexpr double kWidth = 760;
constexpr double kMargin = 24;
constexpr double kLabelWidth = 118;  // of the names beside bars
constexpr double kValueWidth = 56;   // room for a number behind the longest bar
constexpr double kTitleHeight = 34;
constexpr double kTextHeight = 18;
constexpr double kBarHeight = 16;
constexpr double kPlotHeight = 200;

// The colours differ in lightness too, so that they can be told apart without hue.
constexpr std::string_view kStyle = R"(<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:17px;font-weight:600}.head{font-weight:600}.quiet{fill:#59636e;font-size:12px}
.back{fill:#ffffff}.axis{stroke:#d1d9e0;stroke-width:1}
.f0{fill:#1f6feb}.f1{fill:#e08a00}.f2{fill:#8250df}.f3{fill:#c3ccd5}
.l0{stroke:#1f6feb}.l1{stroke:#e08a00}.l2{stroke:#8250df}.l3{stroke:#818b98}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round}
.in0,.in2{fill:#ffffff}.in1,.in3{fill:#1f2328}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9198a1}.back{fill:#0d1117}
.axis{stroke:#3d444d}.f0{fill:#58a6ff}.f1{fill:#e3b341}.f2{fill:#a371f7}.f3{fill:#484f58}
.l0{stroke:#58a6ff}.l1{stroke:#e3b341}.l2{stroke:#a371f7}.l3{stroke:#9198a1}
.in0,.in1,.in2{fill:#0d1117}.in3{fill:#e6edf3}}
</style>
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : replace_invalid_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // XML 1.0 has no way to write other control characters.
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

double largest_value(const Chart& chart) {
  double largest = 0;
  for (size_t i = 0; i < chart.labels.size(); ++i) {
    double sum = 0;
    for (const Series& series : chart.series) {
      const double value = std::isnan(series.values[i]) ? 0 : series.values[i];
      sum = chart.kind == Chart::Kind::stacked_bars ? sum + value : std::max(sum, value);
    }
    largest = std::max(largest, sum);
  }
  return largest > 0 ? largest : 1;
}

// A round number not below `value`, so that a scale ends where a reader can name it.
double round_up(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0}) {
    if (value <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10 * power;
}

class Drawing {
 public:
  Drawing(std::string_view title, std::span<const std::string> lines) {
    text(kMargin, y_, "title", "start", title);
    for (const std::string& line : lines) {
      y_ += kTextHeight;
      text(kMargin, y_ + 2, "quiet", "start", line);
    }
    y_ += 16;
  }

  void add(const Chart& chart) {
    for (const Series& series : chart.series) {
      OCTAVO_CHECK(series.values.size() == chart.labels.size());
    }
    text(kMargin, y_ + 18, "head", "start", chart.title);
    y_ += 30;
    legend(chart);
    if (chart.kind == Chart::Kind::lines) {
      plot(chart);
    } else {
      bars(chart);
    }
    y_ += 26;
  }

  std::string finish(std::string_view title) const {
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" width=\"{0:g}\" "
        "height=\"{1:g}\" role=\"img\">\n<title>{2}</title>\n",
        kWidth, y_, escaped(title));
    out += kStyle;
    out +=
        fmt::format("<rect class=\"back\" width=\"{:g}\" height=\"{:g}\" rx=\"8\"/>\n", kWidth, y_);
    return out + body_ + "</svg>\n";
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(body_), format, std::forward<Args>(args)...);
  }

  void text(double x, double y, std::string_view style, std::string_view anchor,
            std::string_view words) {
    put("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", style, x, y,
        anchor, escaped(words));
  }

  void axis(double x1, double y1, double x2, double y2) {
    put("<path class=\"axis\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", x1, y1, x2, y2);
  }

  void legend(const Chart& chart) {
    if (chart.series.size() < 2) return;
    double x = kMargin;
    for (size_t s = 0; s < chart.series.size(); ++s) {
      put("<rect class=\"f{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"11\" height=\"11\" rx=\"2\"/>\n",
          s, x, y_);
      text(x + 17, y_ + 10, "quiet", "start", chart.series[s].name);
      x += 36 + 6.3 * static_cast<double>(chart.series[s].name.size());
    }
    y_ += 22;
  }

  static std::string value_text(const Chart& chart, double value) {
    return fmt::format("{:.{}f}{}", value, chart.decimals, chart.unit);
  }

  void bars(const Chart& chart) {
    const bool is_stacked = chart.kind == Chart::Kind::stacked_bars;
    const double largest = chart.maximum > 0 ? chart.maximum : largest_value(chart);
    const double left = kMargin + kLabelWidth;
    const double scale = (kWidth - kMargin - kValueWidth - left) / largest;
    const double height = is_stacked ? 24 : kBarHeight;
    for (size_t i = 0; i < chart.labels.size(); ++i) {
      const double rows = is_stacked ? 1 : static_cast<double>(chart.series.size());
      text(left - 10, y_ + rows * height / 2 + 4, "", "end", chart.labels[i]);
      double x = left;
      for (size_t s = 0; s < chart.series.size(); ++s) {
        const double value = chart.series[s].values[i];
        if (std::isnan(value)) {
          if (!is_stacked) y_ += height;
          continue;
        }
        const double width = value * scale;
        put("<rect class=\"f{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
            s, x, y_, width, height - 2);
        const double middle = y_ + height / 2 + 3.5;
        if (!is_stacked) {
          text(x + width + 6, middle, "quiet", "start", value_text(chart, value));
          y_ += height;
          continue;
        }
        if (width > 44) {
          text(x + width / 2, middle, fmt::format("in{}", s), "middle", value_text(chart, value));
        }
        x += width;
      }
      y_ += is_stacked ? height + 8 : 10;
    }
  }

  void plot(const Chart& chart) {
    const double largest = chart.maximum > 0 ? chart.maximum : round_up(largest_value(chart));
    const double left = kMargin + 56;
    const double right = kWidth - kMargin - 20;
    y_ += 8;  // half the height of the topmost number
    const double bottom = y_ + kPlotHeight;
    const auto count = static_cast<double>(chart.labels.size());
    const auto scaled = [&](double value) { return chart.logarithmic ? std::log10(value) : value; };
    const double low = scaled(chart.minimum);
    const auto y_of = [&](double value) {
      return bottom - (scaled(value) - low) / (scaled(largest) - low) * kPlotHeight;
    };
    const auto x_of = [&](size_t i) {
      return left + 16 + (right - left - 32) * (static_cast<double>(i) / std::max(count - 1, 1.0));
    };
    constexpr int kSteps = 4;
    const int ticks =
        chart.logarithmic ? static_cast<int>(std::lround(scaled(largest) - low)) : kSteps;
    for (int t = 0; t <= ticks; ++t) {
      const double value = chart.logarithmic
                               ? std::pow(10, low + t)
                               : chart.minimum + (largest - chart.minimum) * t / kSteps;
      axis(left, y_of(value), right, y_of(value));
      text(left - 8, y_of(value) + 4, "quiet", "end", fmt::format("{:g}{}", value, chart.unit));
    }
    for (size_t i = 0; i < chart.labels.size(); ++i) {
      text(x_of(i), bottom + 18, "quiet", "middle", chart.labels[i]);
    }
    text((left + right) / 2, bottom + 38, "quiet", "middle", chart.label_title);
    for (size_t s = 0; s < chart.series.size(); ++s) {
      std::string path;
      const std::vector<double>& values = chart.series[s].values;
      for (size_t i = 0; i < values.size(); ++i) {
        if (std::isnan(values[i])) continue;
        path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', x_of(i), y_of(values[i]));
        put("<circle class=\"f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>\n", s, x_of(i),
            y_of(values[i]));
      }
      if (!path.empty()) put("<path class=\"line l{}\" d=\"{}\"/>\n", s, path);
    }
    y_ = bottom + 42;
  }

  std::string body_;
  double y_ = kTitleHeight;
};

}  // namespace

std::string draw_svg(std::string_view title, std::span<const std::string> lines,
                     std::span<const Chart> charts) {
  Drawing drawing(title, lines);
  for (const Chart& chart : charts) drawing.add(chart);
  return drawing.finish(title);
}

}  // namespace octavo::simulate
