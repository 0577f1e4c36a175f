// A reader for the manifest's JSON: objects, arrays, strings, numbers, true, false and null.
#pragma once

#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace json {

struct Value {
  enum class Kind { null, boolean, number, string, array, object } kind = Kind::null;
  bool boolean = false;
  double number = 0;
  std::string string;
  std::vector<Value> array;
  std::vector<std::pair<std::string, Value>> object;  // in the file's order, which is that of the label vector

  const Value* find(const std::string& name) const {
    for (const auto& [key, value] : object)
      if (key == name) return &value;
    return nullptr;
  }

  const Value& operator[](const std::string& name) const {
    if (const Value* found = find(name)) return *found;
    throw std::runtime_error("the manifest has no \"" + name + "\"");
  }
};

class Reader {
 public:
  explicit Reader(const std::string& text) : at_(text.c_str()), end_(text.c_str() + text.size()) {}

  Value document() {
    Value value = read(0);
    skip();
    if (at_ != end_) fail("text after the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) { throw std::runtime_error("the manifest is damaged: " + what); }

  void skip() {
    while (at_ != end_ && std::isspace(static_cast<unsigned char>(*at_))) ++at_;
  }

  bool take(char wanted) {
    skip();
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }

  void expect(const std::string& word) {
    for (char wanted : word) {
      if (at_ == end_ || *at_ != wanted) fail("expected " + word);
      ++at_;
    }
  }

  Value read(int depth) {
    if (depth > 64) fail("nested too deeply");
    skip();
    if (at_ == end_) fail("it ends too early");
    Value value;
    if (take('{')) {
      value.kind = Value::Kind::object;
      if (take('}')) return value;
      do {
        skip();
        std::string name = string();
        if (!take(':')) fail("expected :");
        value.object.emplace_back(std::move(name), read(depth + 1));
      } while (take(','));
      if (!take('}')) fail("expected }");
    } else if (take('[')) {
      value.kind = Value::Kind::array;
      if (take(']')) return value;
      do value.array.push_back(read(depth + 1));
      while (take(','));
      if (!take(']')) fail("expected ]");
    } else if (*at_ == '"') {
      value.kind = Value::Kind::string;
      value.string = string();
    } else if (*at_ == 't' || *at_ == 'f') {
      value.kind = Value::Kind::boolean;
      value.boolean = *at_ == 't';
      expect(value.boolean ? "true" : "false");
    } else if (*at_ == 'n') {
      expect("null");
    } else {
      value.kind = Value::Kind::number;
      char* after = nullptr;
      value.number = std::strtod(at_, &after);
      if (after == at_) fail("expected a value");
      at_ = after;
    }
    return value;
  }

  std::string string() {
    expect("\"");
    std::string text;
    while (at_ != end_ && *at_ != '"') {
      char c = *at_++;
      if (c != '\\') {
        text += c;
        continue;
      }
      if (at_ == end_) break;
      switch (char escaped = *at_++) {
        case 'n': text += '\n'; break;
        case 't': text += '\t'; break;
        case 'r': text += '\r'; break;
        case 'b': text += '\b'; break;
        case 'f': text += '\f'; break;
        case 'u': utf8(text, hex()); break;
        default: text += escaped;  // " \ /
      }
    }
    expect("\"");
    return text;
  }

  unsigned hex() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_ || !std::isxdigit(static_cast<unsigned char>(*at_))) fail("a wrong \\u");
      code = 16 * code + (*at_ <= '9' ? *at_ - '0' : (*at_ | 32) - 'a' + 10);
    }
    return code;
  }

  void utf8(std::string& text, unsigned code) {
    if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
      expect("\\u");
      code = 0x10000 + ((code - 0xD800) << 10) + (hex() - 0xDC00);
    }
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xC0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 63));
    } else if (code < 0x10000) {
      text += static_cast<char>(0xE0 | code >> 12);
      text += static_cast<char>(0x80 | (code >> 6 & 63));
      text += static_cast<char>(0x80 | (code & 63));
    } else {
      text += static_cast<char>(0xF0 | code >> 18);
      text += static_cast<char>(0x80 | (code >> 12 & 63));
      text += static_cast<char>(0x80 | (code >> 6 & 63));
      text += static_cast<char>(0x80 | (code & 63));
    }
  }

  const char *at_, *end_;
};

inline Value parse(const std::string& text) { return Reader(text).document(); }

}  // namespace json
