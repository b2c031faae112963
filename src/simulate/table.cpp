#include "simulate/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace octavo::simulate {
namespace {

constexpr size_t kText = 1;  // index of std::string in Cell

std::string text_of(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  if (const auto* number = std::get_if<Number>(&cell)) {
    return grouped(number->value, number->decimals);
  }
  return "";
}

}  // namespace

std::string grouped(double value, int decimals) {
  std::string text = fmt::format("{:.{}f}", value, decimals);
  const size_t digits_end = std::min(text.find('.'), text.size());
  const size_t digits_begin = text.starts_with('-') ? 1 : 0;
  for (size_t i = digits_end; i > digits_begin + 3;) {
    i -= 3;
    text.insert(i, 1, ',');
  }
  return text;
}

std::string format_table(const Table& table) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : table.columns) lines[0].push_back(column.heading);
  for (const std::vector<Cell>& row : table.rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const Cell& cell : row) line.push_back(text_of(cell));
  }
  std::string out;
  std::vector<size_t> widths(table.columns.size(), 0);
  for (const std::vector<std::string>& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  for (const std::vector<std::string>& line : lines) {
    std::string text;
    for (size_t c = 0; c < line.size(); ++c) {
      const bool is_name = !table.rows.empty() && table.rows[0][c].index() == kText;
      if (c > 0) text += "  ";
      text += is_name ? fmt::format("{:<{}}", line[c], widths[c])
                      : fmt::format("{:>{}}", line[c], widths[c]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

nlohmann::ordered_json to_json(const Table& table) {
  auto rows = nlohmann::ordered_json::array();
  for (const std::vector<Cell>& row : table.rows) {
    nlohmann::ordered_json object;
    for (size_t c = 0; c < row.size(); ++c) {
      nlohmann::ordered_json& value = object[table.columns[c].key];
      if (const auto* text = std::get_if<std::string>(&row[c])) value = *text;
      if (const auto* number = std::get_if<Number>(&row[c])) value = number->value;
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

}  // namespace octavo::simulate
