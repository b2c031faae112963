#include "text/jinja_operations.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja_builtins.h"
#include "text/jinja_text.h"

namespace octavo::text::jinja {
namespace {

void write_repr(Runtime& runtime, const Value& value, std::string& out);

void write_list(Runtime& runtime, const List& list, std::string& out) {
  out += list.is_tuple ? '(' : '[';
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out += ", ";
    write_repr(runtime, list.items[i], out);
  }
  if (list.is_tuple && list.items.size() == 1) out += ',';
  out += list.is_tuple ? ')' : ']';
}

void write_dict(Runtime& runtime, const Dict& dict, std::string& out) {
  out += '{';
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out += ", ";
    write_repr(runtime, dict.entries[i].first, out);
    out += ": ";
    write_repr(runtime, dict.entries[i].second, out);
  }
  out += '}';
}

void write_repr(Runtime& runtime, const Value& value, std::string& out) {
  runtime.charge(node_work);
  if (const std::string* text = value.string()) {
    runtime.charge_each(text->size(), byte_work);
    out += python_quote(*text);
  } else if (const List* list = value.list()) {
    write_list(runtime, *list, out);
  } else if (const Dict* dict = value.dict()) {
    write_dict(runtime, *dict, out);
  } else if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_none()) {
    out += "None";
  } else if (const bool* flag = value.boolean()) {
    out += *flag ? "True" : "False";
  } else if (const int64_t* integer = value.integer()) {
    out += fmt::format("{}", *integer);
  } else if (const double* real = value.real()) {
    out += python_float(*real);
  } else if (const Function* function = value.function()) {
    out += fmt::format("<function {}>", function->name);
  } else {
    out += fmt::format("<{}>", type_name(value));
  }
}

// --- JSON, as Python's json.dumps writes it ---

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value) {
    runtime_.charge(node_work);
    if (const std::string* text = value.string()) {
      runtime_.charge_each(text->size(), byte_work);
      out_ += json_quote(*text, style_.ascii_only);
    } else if (const List* list = value.list()) {
      write_container('[', ']', list->items.size(), [&](size_t i) { write(list->items[i]); });
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else if (value.is_none()) {
      out_ += "null";
    } else if (const bool* flag = value.boolean()) {
      out_ += *flag ? "true" : "false";
    } else if (value.real() && !std::isfinite(*value.real())) {
      out_ += std::isnan(*value.real()) ? "NaN" : *value.real() > 0 ? "Infinity" : "-Infinity";
    } else if (value.is_number()) {
      write_repr(runtime_, value, out_);
    } else {
      runtime_.require_defined(value);
      runtime_.fail("a {} has no JSON form", type_name(value));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  template <class WriteItem>
  void write_container(char open, char close, size_t count, WriteItem write_item) {
    out_ += open;
    ++level_;
    for (size_t i = 0; i < count; ++i) {
      runtime_.charge_each(style_.item_separator.size() + style_.key_separator.size(), byte_work);
      if (i > 0) out_ += style_.item_separator;
      break_line();
      write_item(i);
    }
    --level_;
    if (count > 0) break_line();
    out_ += close;
  }

  void write_dict(const Dict& dict) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sorts_keys) {
      std::stable_sort(entries.begin(), entries.end(), [this](const auto* a, const auto* b) {
        return order(runtime_, a->first, b->first) < 0;
      });
    }
    write_container('{', '}', entries.size(), [&](size_t i) {
      if (entries[i]->first.string()) {
        write(entries[i]->first);
      } else {  // None, numbers and booleans become strings of their JSON form
        out_ += '"';
        write(entries[i]->first);
        out_ += '"';
      }
      out_ += style_.key_separator;
      write(entries[i]->second);
    });
  }

  void break_line() {
    if (!style_.has_indent) return;
    runtime_.charge_each(level_, byte_work * (style_.indent.size() + 1));
    out_ += '\n';
    for (size_t i = 0; i < level_; ++i) out_ += style_.indent;
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  size_t level_ = 0;
  std::string out_;
};

// --- arithmetic ---

std::string_view symbol(Operator op) {
  switch (op) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::floor_divide:
      return "//";
    case Operator::modulo:
      return "%";
    case Operator::power:
      return "**";
  }
  return "?";
}

// False on overflow. The exponent is not negative.
bool integer_power(int64_t base, int64_t exponent, int64_t& out) {
  out = 1;
  if (base == 0 || base == 1 || base == -1) {
    if (exponent > 0) out = base == -1 && exponent % 2 == 0 ? 1 : base;
    return true;
  }
  for (; exponent > 0; --exponent) {  // at most 63 rounds before it overflows
    if (__builtin_mul_overflow(out, base, &out)) return false;
  }
  return true;
}

// Python rounds quotients towards minus infinity; remainders have the divisor's sign.
int64_t floor_divide(int64_t left, int64_t right) {
  const int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

Value real_arithmetic(Runtime& runtime, Operator op, double left, double right) {
  const bool divides =
      op == Operator::divide || op == Operator::floor_divide || op == Operator::modulo;
  if (divides && right == 0) runtime.fail("division by zero");
  switch (op) {
    case Operator::add:
      return Value(left + right);
    case Operator::subtract:
      return Value(left - right);
    case Operator::multiply:
      return Value(left * right);
    case Operator::divide:
      return Value(left / right);
    case Operator::floor_divide:
      return Value(std::floor(left / right));
    case Operator::modulo: {
      const double remainder = std::fmod(left, right);
      return Value(remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right
                                                                    : remainder);
    }
    case Operator::power:
      return Value(std::pow(left, right));
  }
  return {};
}

Value integer_arithmetic(Runtime& runtime, Operator op, int64_t left, int64_t right) {
  int64_t out = 0;
  bool overflows = false;
  switch (op) {
    case Operator::add:
      overflows = __builtin_add_overflow(left, right, &out);
      break;
    case Operator::subtract:
      overflows = __builtin_sub_overflow(left, right, &out);
      break;
    case Operator::multiply:
      overflows = __builtin_mul_overflow(left, right, &out);
      break;
    case Operator::divide:
      return real_arithmetic(runtime, op, static_cast<double>(left), static_cast<double>(right));
    case Operator::floor_divide:
    case Operator::modulo:
      if (right == 0) runtime.fail("division by zero");
      if (right == -1) {  // the one quotient that can overflow
        if (op == Operator::floor_divide)
          overflows = __builtin_sub_overflow(int64_t{0}, left, &out);
      } else {
        const int64_t quotient = floor_divide(left, right);
        out = op == Operator::floor_divide ? quotient : left - quotient * right;
      }
      break;
    case Operator::power:
      if (right < 0) {
        return real_arithmetic(runtime, op, static_cast<double>(left), static_cast<double>(right));
      }
      overflows = !integer_power(left, right, out);
      break;
  }
  if (overflows) runtime.fail("{} {} {} does not fit into 64 bits", left, symbol(op), right);
  return Value(out);
}

// A string or list `count` times; undefined when `value` is neither.
Value repeated(Runtime& runtime, const Value& value, int64_t count) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(0, count));
  if (const std::string* text = value.string()) {
    runtime.charge_each(times, byte_work * text->size() + 1);
    std::string out;
    out.reserve(text->size() * times);
    for (uint64_t i = 0; i < times; ++i) out += *text;
    return runtime.string(std::move(out));
  }
  if (const List* list = value.list()) {
    runtime.charge_each(times, list->items.size() * item_work + 1);
    std::vector<Value> items;
    items.reserve(list->items.size() * times);
    for (uint64_t i = 0; i < times; ++i) {
      items.insert(items.end(), list->items.begin(), list->items.end());
    }
    return runtime.list(std::move(items), list->is_tuple);
  }
  return {};
}

// --- slicing ---

struct Range {
  int64_t start;
  int64_t step;
  size_t count;
};

// Python's slice.indices() for a sequence of `length`.
Range slice_range(Runtime& runtime, int64_t length, const Value& start, const Value& stop,
                  const Value& step) {
  const auto given = [](const Value& value) { return !value.is_undefined() && !value.is_none(); };
  int64_t stride = given(step) ? integer_argument(runtime, step, "a slice's step") : 1;
  if (stride == 0) runtime.fail("a slice's step is zero");
  // No longer stride than this differs; it keeps the sums below within 64 bits.
  stride = std::clamp(stride, -length - 1, length + 1);
  const int64_t low = stride < 0 ? -1 : 0;
  const int64_t high = stride < 0 ? length - 1 : length;
  const auto bound = [&](const Value& value, int64_t fallback, std::string_view what) {
    if (!given(value)) return fallback;
    const int64_t index = integer_argument(runtime, value, what);
    return index < 0 ? std::max(index + length, low) : std::min(index, high);
  };
  const int64_t first = bound(start, stride < 0 ? high : low, "a slice's start");
  const int64_t last = bound(stop, stride < 0 ? low : high, "a slice's stop");
  const int64_t distance = stride < 0 ? first - last : last - first;
  const int64_t count = distance <= 0 ? 0 : (distance - 1) / std::abs(stride) + 1;
  return {first, stride, static_cast<size_t>(count)};
}

Value loop_attribute(Runtime& runtime, const Loop& loop, const std::string& name) {
  const auto count = static_cast<int64_t>(loop.items->items.size());
  const auto index = static_cast<int64_t>(loop.index);
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(count - index);
  if (name == "revindex0") return Value(count - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == count);
  if (name == "length") return Value(count);
  if (name == "depth") return Value(int64_t{1});  // more in recursive loops only
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem" && index > 0) return loop.items->items[loop.index - 1];
  if (name == "nextitem" && index + 1 < count) return loop.items->items[loop.index + 1];
  return runtime.undefined(fmt::format("the loop has no '{}' here", name));
}

// The method `name` bound to `object`, or undefined.
Value bound_method(Runtime& runtime, const Value& object, const std::string& name) {
  const BuiltinTable& methods = methods_of(object);
  const auto found = methods.find(name);
  if (found == methods.end()) return {};
  runtime.charge(4 * item_work);
  Function function;
  function.name = name;
  function.builtin = &found->second;
  function.self = object;
  return Value(std::make_shared<const Function>(std::move(function)));
}

Value missing(Runtime& runtime, const Value& object, std::string_view name) {
  return runtime.undefined(fmt::format("a {} has no '{}'", type_name(object), name.substr(0, 80)));
}

}  // namespace

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.string()) {
    runtime.charge_each(value.string()->size(), byte_work);
    return *value.string();
  }
  std::string out;
  if (!value.is_undefined()) write_repr(runtime, value, out);
  return out;
}

Value to_string_value(Runtime& runtime, const Value& value) {
  return value.string() ? value : runtime.string(to_text(runtime, value));
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.write(value);
  return writer.take();
}

bool equal(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(node_work);
  if (left.integral() && right.integral()) return left.as_integer() == right.as_integer();
  if (left.is_number() && right.is_number()) return left.as_real() == right.as_real();
  if (left.data.index() != right.data.index()) return false;
  if (left.string()) {
    if (left.string()->size() != right.string()->size()) return false;
    runtime.charge(left.string()->size());
    return *left.string() == *right.string();
  }
  if (const List* list = left.list()) {
    const List* other = right.list();
    return list->is_tuple == other->is_tuple &&
           std::equal(list->items.begin(), list->items.end(), other->items.begin(),
                      other->items.end(),
                      [&runtime](const Value& a, const Value& b) { return equal(runtime, a, b); });
  }
  if (const Dict* dict = left.dict()) {
    if (dict->entries.size() != right.dict()->entries.size()) return false;
    return std::all_of(dict->entries.begin(), dict->entries.end(), [&](const auto& entry) {
      const Value* other = right.dict()->find(entry.first);
      return other && equal(runtime, entry.second, *other);
    });
  }
  if (left.loop()) return left.loop() == right.loop();
  if (left.function()) return left.function() == right.function();
  if (left.name_space()) return left.name_space() == right.name_space();
  return true;  // both undefined or both none
}

std::partial_ordering order(Runtime& runtime, const Value& left, const Value& right) {
  runtime.charge(node_work);
  if (left.integral() && right.integral()) return left.as_integer() <=> right.as_integer();
  if (left.is_number() && right.is_number()) return left.as_real() <=> right.as_real();
  if (left.string() && right.string()) {
    runtime.charge(std::min(left.string()->size(), right.string()->size()));
    return left.string()->compare(*right.string()) <=> 0;  // UTF-8 sorts as code points do
  }
  if (left.list() && right.list() && left.list()->is_tuple == right.list()->is_tuple) {
    const auto& a = left.list()->items;
    const auto& b = right.list()->items;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (!equal(runtime, a[i], b[i])) return order(runtime, a[i], b[i]);
    }
    return a.size() <=> b.size();
  }
  runtime.require_defined(left);
  runtime.require_defined(right);
  runtime.fail("cannot order a {} and a {}", type_name(left), type_name(right));
}

const Value* find_key(Runtime& runtime, const Dict& dict, const Value& key) {
  if (key.string()) runtime.charge(key.string()->size());
  return dict.find(key);
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (const std::string* text = container.string()) {
    runtime.require_defined(item);
    if (!item.string()) runtime.fail("'in' a str needs a str, not a {}", type_name(item));
    runtime.charge_search(*text, *item.string());
    return text->find(*item.string()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) return find_key(runtime, *dict, item) != nullptr;
  const auto items = items_of(runtime, container);
  return std::any_of(items->items.begin(), items->items.end(),
                     [&](const Value& candidate) { return equal(runtime, candidate, item); });
}

bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right) {
  switch (comparison) {
    case Comparison::equal:
      return equal(runtime, left, right);
    case Comparison::not_equal:
      return !equal(runtime, left, right);
    case Comparison::less:
      return order(runtime, left, right) < 0;
    case Comparison::less_equal:
      return order(runtime, left, right) <= 0;
    case Comparison::greater:
      return order(runtime, left, right) > 0;
    case Comparison::greater_equal:
      return order(runtime, left, right) >= 0;
    case Comparison::in:
      return contains(runtime, right, left);
    case Comparison::not_in:
      return !contains(runtime, right, left);
  }
  return false;
}

Value arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  if (left.integral() && right.integral()) {
    return integer_arithmetic(runtime, op, left.as_integer(), right.as_integer());
  }
  if (left.is_number() && right.is_number()) {
    return real_arithmetic(runtime, op, left.as_real(), right.as_real());
  }
  if (op == Operator::add && left.string() && right.string()) {
    std::string text;
    text.reserve(left.string()->size() + right.string()->size());
    text += *left.string();
    text += *right.string();
    return runtime.string(std::move(text));
  }
  if (op == Operator::add && left.list() && right.list() &&
      left.list()->is_tuple == right.list()->is_tuple) {
    std::vector<Value> items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    return runtime.list(std::move(items), left.list()->is_tuple);
  }
  if (op == Operator::multiply && right.integral() && (left.string() || left.list())) {
    return repeated(runtime, left, right.as_integer());
  }
  if (op == Operator::multiply && left.integral() && (right.string() || right.list())) {
    return repeated(runtime, right, left.as_integer());
  }
  runtime.require_defined(left);
  runtime.require_defined(right);
  runtime.fail("'{}' does not work between a {} and a {}", symbol(op), type_name(left),
               type_name(right));
}

Value with_sign(Runtime& runtime, const Value& value, bool is_negative) {
  runtime.require_defined(value);
  if (!value.is_number()) runtime.fail("a {} has no sign", type_name(value));
  if (!value.integral()) return Value(is_negative ? -value.as_real() : value.as_real());
  if (!is_negative) return Value(value.as_integer());
  return integer_arithmetic(runtime, Operator::subtract, 0, value.as_integer());
}

Value attribute(Runtime& runtime, const Value& object, const std::string& name) {
  runtime.require_defined(object);
  if (const Namespace* space = object.name_space()) {
    const auto found = space->attributes.find(name);
    return found == space->attributes.end() ? missing(runtime, object, name) : found->second;
  }
  Value method = bound_method(runtime, object, name);
  if (!method.is_undefined()) return method;
  if (object.loop()) return loop_attribute(runtime, *object.loop(), name);
  if (const Dict* dict = object.dict()) {
    const auto found = dict->index.find(name);
    if (found != dict->index.end()) return dict->entries[found->second].second;
  }
  return missing(runtime, object, name);
}

Value subscript(Runtime& runtime, const Value& object, const Value& index) {
  runtime.require_defined(object);
  if (const Dict* dict = object.dict()) {
    if (const Value* found = find_key(runtime, *dict, index)) return *found;
  }
  if (index.integral() && (object.list() || object.string())) {
    const auto length = static_cast<int64_t>(length_of(runtime, object));
    const int64_t wanted = index.as_integer();
    const int64_t place = wanted < 0 ? wanted + length : wanted;
    if (place < 0 || place >= length) {
      return runtime.undefined(
          fmt::format("a {} of length {} has no item {}", type_name(object), length, wanted));
    }
    if (object.list()) return object.list()->items[static_cast<size_t>(place)];
    return runtime.string(
        std::string(code_point_range(*object.string(), static_cast<size_t>(place), 1)));
  }
  // As in Jinja, a name that is no item may still be an attribute.
  if (index.string() && object.dict()) {
    Value method = bound_method(runtime, object, *index.string());
    return method.is_undefined() ? missing(runtime, object, *index.string()) : method;
  }
  if (index.string()) return attribute(runtime, object, *index.string());
  return missing(runtime, object, to_text(runtime, index));
}

Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step) {
  runtime.require_defined(object);
  if (!object.string() && !object.list()) runtime.fail("a {} cannot be sliced", type_name(object));
  const auto length = static_cast<int64_t>(length_of(runtime, object));
  const Range range = slice_range(runtime, length, start, stop, step);
  const auto place = [&range](size_t i) {
    return static_cast<size_t>(range.start + static_cast<int64_t>(i) * range.step);
  };
  if (const List* list = object.list()) {
    std::vector<Value> items;
    items.reserve(range.count);
    for (size_t i = 0; i < range.count; ++i) items.push_back(list->items[place(i)]);
    return runtime.list(std::move(items), list->is_tuple);
  }
  if (range.step == 1) {
    return runtime.string(std::string(
        code_point_range(*object.string(), static_cast<size_t>(range.start), range.count)));
  }
  runtime.charge_each(object.string()->size(), item_work);
  const std::vector<std::string_view> pieces = code_points(*object.string());
  std::string text;
  for (size_t i = 0; i < range.count; ++i) text += pieces[place(i)];
  return runtime.string(std::move(text));
}

std::shared_ptr<const List> items_of(Runtime& runtime, const Value& value) {
  if (value.list()) return std::get<std::shared_ptr<const List>>(value.data);
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->entries) items.push_back(entry.first);
  } else if (const std::string* text = value.string()) {
    runtime.charge_each(text->size(), 2 * item_work);
    for (const std::string_view piece : code_points(*text)) {
      items.push_back(runtime.string(std::string(piece)));
    }
  } else if (!value.is_undefined()) {
    runtime.fail("a {} cannot be iterated over", type_name(value));
  }
  return std::get<std::shared_ptr<const List>>(runtime.list(std::move(items)).data);
}

size_t length_of(Runtime& runtime, const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.list()) return value.list()->items.size();
  if (value.dict()) return value.dict()->entries.size();
  if (value.string()) {
    runtime.charge(value.string()->size());
    return code_point_count(*value.string());
  }
  runtime.fail("a {} has no length", type_name(value));
}

}  // namespace octavo::text::jinja
