#include <ventile/task/function.hpp>

#include <algorithm>

#include <ventile/task/bound_function.hpp>

namespace ventile {

std::vector<Bytes> PackedArguments::values() const {
  std::vector<Bytes> values;
  for (const Bytes part : {constants, payload}) {
    Unpacker unpacker{part};
    while (!unpacker.at_end()) {
      if (!unpacker.read_value(values.emplace_back()))
        throw TaskFailure("arguments", "argument " + std::to_string(values.size()) + ": " + unpacker.error().message);
    }
  }
  return values;
}

void pack_error(Packer& packer, const FailureText& error) {
  packer.pack_map(error.detail.empty() ? 2 : 3);
  packer.pack_string("kind");
  packer.pack_string(error.kind);
  packer.pack_string("message");
  packer.pack_string(error.message);
  if (error.detail.empty()) return;
  packer.pack_string("detail");
  packer.append_packed(error.detail);
}

FailureText read_error(Bytes payload) {
  FailureText error;
  Unpacker unpacker{payload};
  std::uint32_t count = 0;
  if (!unpacker.read_map(count)) return error;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view key;
    if (!unpacker.read_string(key)) return error;
    if (key == "kind" || key == "message") {
      if (!unpacker.read_string(key == "kind" ? error.kind : error.message)) return error;
    } else if (Bytes value; !unpacker.read_value(value)) {
      return error;
    } else if (key == "detail") {
      error.detail = value;
    }
  }
  return error;
}

namespace {

// At most `bytes_max` bytes, and no half of a UTF-8 character.
std::string_view shortened(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t size = bytes_max;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

FailureText shortened(FailureText error, std::size_t bytes_max) {
  constexpr std::size_t kind_bytes_max = 256;
  constexpr std::size_t message_bytes_max = std::size_t{1} << 16;
  error.kind = shortened(error.kind, kind_bytes_max);
  error.message = shortened(error.message, std::min(message_bytes_max, bytes_max / 4));
  const std::size_t names_and_heads = 64;
  if (error.kind.size() + error.message.size() + error.detail.size() + names_and_heads > bytes_max) error.detail = {};
  return error;
}

namespace detail {

std::string ArgumentReader::complaint(std::size_t parameters) {
  // Whatever is left is counted; the first value that cannot be read is what is wrong.
  while (unpacker_.ok() && !at_end()) {
    ++count_;
    unpacker_.skip();
  }
  if (!unpacker_.ok()) return "argument " + std::to_string(count_) + ": " + unpacker_.error().message;
  return "expected " + std::to_string(parameters) + (parameters == 1 ? " argument" : " arguments") + ", got " +
         std::to_string(count_);
}

void fail_index(TaskRun& run) {
  const std::string message = "argument 1: the index " + std::to_string(run.index()) + " does not fit the parameter";
  run.fail({"arguments", message, {}});
}

}  // namespace detail
}  // namespace ventile
