#include <attend/base/error.hpp>
#include <attend/io/safetensors_header.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace attend::safetensors {
namespace {

constexpr ElementType types[] = {
    {"BOOL", 8, DType::boolean},
    {"F4", 4, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"U8", 8, DType::u8},
    {"I8", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"F16", 16, DType::f16},
    {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32},
    {"U32", 32, {}},
    {"F32", 32, DType::f32},
    {"C64", 64, {}},
    {"F64", 64, DType::f64},
    {"I64", 64, DType::i64},
    {"U64", 64, {}},
};

// serde_json's recursion limit.
constexpr size_t max_depth = 127;

constexpr std::string_view metadata_key = "__metadata__";

// Names in errors come from hostile files: cut, and control characters shown as '?'.
std::string printable(std::string_view name) {
  std::string text(name.substr(0, 80));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return name.size() > 80 ? text + "…" : text;
}

// Receives the header's JSON as a stream of events, so that memory stays near the size of what is kept. A tensor may
// also be the list [dtype, shape, data_offsets], as the library takes it.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderEvents(const std::string& file) : file_(file) {}

  Header take() {
    Header header;
    header.metadata = std::move(metadata_);
    header.entries.reserve(tensors_.size());
    for (auto& [name, tensor] : tensors_) {
      tensor.name = name;
      header.entries.push_back(std::move(tensor));
    }
    return header;
  }

  bool null() override {
    if (part() == Part::top && key_ == metadata_key) return true;
    return other("null");
  }
  bool boolean(bool) override { return other("a boolean"); }
  bool number_integer(number_integer_t) override { return other("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return other("not a whole 64-bit number"); }
  bool binary(binary_t&) override { return other("binary"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (part() == Part::shape)
      tensor_.shape.push_back(value);
    else if (part() == Part::offsets && offsets_ < 2)
      (offsets_++ == 0 ? tensor_.begin : tensor_.end) = value;
    else if (part() == Part::offsets)
      broken("data_offsets of '{}' has more than two numbers", printable(key_));
    else
      return other("a number");
    return true;
  }

  bool string(string_t& value) override {
    if (part() == Part::metadata) {
      metadata_[metadata_name_] = std::move(value);
      return true;
    }
    if (part() != Part::tensor || next_field() != Field::dtype) return other("a string", false);
    const ElementType* type = find_element_type(value);
    if (!type) broken("tensor '{}' has the unknown dtype '{}'", printable(key_), printable(value));
    tensor_.dtype = type->name;
    return true;
  }

  bool start_object(size_t) override { return start(true); }
  bool start_array(size_t) override { return start(false); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }

  bool key(string_t& name) override {
    if (part() == Part::top) {
      key_ = std::move(name);
      if (key_ == metadata_key && std::exchange(metadata_seen_, true)) broken("two {}", metadata_key);
    } else if (part() == Part::metadata) {
      metadata_name_ = std::move(name);
    } else if (part() == Part::tensor) {
      field_ = name == "dtype"          ? Field::dtype
               : name == "shape"        ? Field::shape
               : name == "data_offsets" ? Field::offsets
                                        : Field::unknown;
      if (field_ != Field::unknown && std::exchange(seen_[static_cast<size_t>(field_)], true))
        broken("tensor '{}' has two fields '{}'", printable(key_), name);
    }
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    broken("the header is not valid JSON (near byte {})", position);
  }

  template <class... Args>
  [[noreturn]] void broken(fmt::format_string<Args...> format, Args&&... args) const {
    fail<FormatError>("{}: safetensors: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  enum class Part { none, top, metadata, tensor, shape, offsets, ignored };
  enum class Field : size_t { dtype, shape, offsets, unknown };

  Part part() const noexcept { return open_.empty() ? Part::none : open_.back(); }

  // The field that the next value of a tensor belongs to: by key, or by place in the list form.
  Field next_field() {
    if (!as_list_) return field_;
    if (list_place_ > 2) broken("tensor '{}' is a list of more than three values", printable(key_));
    seen_[list_place_] = true;
    return field_ = static_cast<Field>(list_place_++);
  }

  // A value of a kind that only an unknown field may have.
  bool other(std::string_view what, bool advance = true) {
    switch (part()) {
      case Part::none:
        broken("the header is {}, not an object", what);
      case Part::top:
        broken("'{}' is {}, not an object", printable(key_), what);
      case Part::metadata:
        broken("metadata '{}' is {}, not a string", printable(metadata_name_), what);
      case Part::shape:
      case Part::offsets:
        broken("a number in the {} of '{}' is {}", part() == Part::shape ? "shape" : "data_offsets", printable(key_),
               what);
      case Part::tensor:
        if ((advance ? next_field() : field_) != Field::unknown)
          broken("tensor '{}' has a field of the wrong type: {}", printable(key_), what);
        return true;
      case Part::ignored:
        return true;
    }
    return true;
  }

  bool start(bool object) {
    const std::string_view what = object ? "an object" : "a list";
    if (open_.size() >= max_depth) broken("the header's JSON is nested too deeply");
    Part inside = Part::ignored;
    if (part() == Part::none) {
      if (!object) return other(what);
      inside = Part::top;
    } else if (part() == Part::top && key_ == metadata_key) {
      if (!object) return other(what);
      inside = Part::metadata;
    } else if (part() == Part::top) {
      inside = Part::tensor;
      tensor_ = {};
      offsets_ = 0;
      seen_ = {};
      as_list_ = !object;
      list_place_ = 0;
    } else if (part() == Part::tensor) {
      const Field field = next_field();
      if (!object && field == Field::shape)
        inside = Part::shape;
      else if (!object && field == Field::offsets)
        inside = Part::offsets;
      else
        other(what, false);
    } else {
      other(what);
    }
    open_.push_back(inside);
    return true;
  }

  bool end() {
    if (part() == Part::offsets && offsets_ != 2) broken("data_offsets of '{}' needs two numbers", printable(key_));
    if (part() == Part::tensor) {
      constexpr std::string_view names[] = {"dtype", "shape", "data_offsets"};
      for (size_t i = 0; i < seen_.size(); ++i)
        if (!seen_[i]) broken("tensor '{}' has no {}", printable(key_), names[i]);
      tensors_[key_] = std::move(tensor_);  // of two entries with one name the last counts
    }
    open_.pop_back();
    return true;
  }

  const std::string& file_;
  std::vector<Part> open_;
  std::string key_;
  std::string metadata_name_;
  Field field_ = Field::unknown;
  StoredTensor tensor_;
  int offsets_ = 0;
  std::array<bool, 3> seen_{};
  bool as_list_ = false;
  size_t list_place_ = 0;
  bool metadata_seen_ = false;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace

std::span<const ElementType> element_types() noexcept { return types; }

const ElementType* find_element_type(std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(types), std::end(types), [&](auto& type) { return type.name == name; });
  return found == std::end(types) ? nullptr : found;
}

const ElementType& element_type_of(DType wanted) noexcept {
  return *std::find_if(std::begin(types), std::end(types), [&](auto& type) { return type.type == wanted; });
}

Header parse_header(std::string_view json, uint64_t data_bytes, const std::string& file) {
  HeaderEvents events(file);
  // nlohmann::json ends at a zero byte and skips a byte order mark; both are errors here.
  if (json.find('\0') != json.npos || json.starts_with('\xef')) events.broken("the header is not valid JSON");
  nlohmann::json::sax_parse(json.begin(), json.end(), &events);
  Header header = events.take();

  std::stable_sort(header.entries.begin(), header.entries.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const StoredTensor& tensor : header.entries) {
    const auto name = [&] { return printable(tensor.name); };
    if (tensor.begin != position || tensor.end < tensor.begin)
      events.broken("tensor '{}' lies at bytes [{}, {}) where byte {} should begin (overlap or hole)", name(),
                    tensor.begin, tensor.end, position);
    position = tensor.end;
    uint64_t bits = 1;
    bool overflow = false;
    for (uint64_t size : tensor.shape) overflow |= __builtin_mul_overflow(bits, size, &bits);
    overflow |= __builtin_mul_overflow(bits, find_element_type(tensor.dtype)->bits, &bits);
    if (overflow) events.broken("tensor '{}' has a shape beyond 64 bits", name());
    if (bits % 8 != 0) events.broken("tensor '{}' does not end at a whole byte", name());
    if (bits / 8 != tensor.end - tensor.begin)
      events.broken("tensor '{}' is {} {}, {} bytes, but its data_offsets span {}", name(), tensor.dtype,
                    tensor.shape_string(), bits / 8, tensor.end - tensor.begin);
  }
  if (position != data_bytes)
    events.broken("the tensors fill {} bytes, but {} follow the header (cut off or damaged)", position, data_bytes);
  return header;
}

}  // namespace attend::safetensors
