// Table: numbers and names in rows, printed for people or as JSON.
//
// Plain values and functions without state.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

namespace octavo::simulate {

struct Number {
  double value = 0;
  int decimals = 0;  // that people see; JSON has them all
};

// Empty where there is nothing to say.
using Cell = std::variant<std::monostate, std::string, Number>;

struct Column {
  std::string key;      // in JSON: "batch_requests"
  std::string heading;  // for people
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each with a cell per column
};

// "15,728" and "1,234.5".
std::string grouped(double value, int decimals);

// Columns side by side under their headings, numbers to the right; every line ends with a newline.
std::string format_table(const Table& table);
// One object for each row; empty cells are null.
nlohmann::ordered_json to_json(const Table& table);

}  // namespace octavo::simulate
