#include <nodes/failed_inputs.hpp>

#include <cerrno>
#include <cstring>

#include <ventile/wire/json.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {

Result<FailedInputs> FailedInputs::open(const std::string& path, InputFormat format, const IndexRule& index) {
  FailedInputs failed;
  failed.path_ = path;
  failed.format_ = format;
  failed.index_ = index;
  failed.file_.reset(std::fopen(path.c_str(), "we"));
  if (failed.file_ == nullptr)
    return Error{Code::unavailable, "cannot write the failed inputs to " + path + ": " + std::strerror(errno)};
  return failed;
}

void FailedInputs::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() && error_ == 0) error_ = errno;
}

void FailedInputs::add(Number number, Bytes payload) {
  if (index_.enabled) {
    const std::uint64_t value =
        static_cast<std::uint64_t>(index_.start) + static_cast<std::uint64_t>(index_.step) * number;
    return write(std::to_string(static_cast<std::int64_t>(value)) + "\n");
  }
  Unpacker unpacker{payload};
  std::string_view text;
  std::string json;
  switch (format_) {
    case InputFormat::lines:
    case InputFormat::nul:
      if (unpacker.read_string(text)) write(text);
      return write(format_ == InputFormat::lines ? std::string_view{"\n", 1} : std::string_view{"\0", 1});
    case InputFormat::jsonl:
      if (append_json(unpacker, json)) write(json + "\n");
      return;
    case InputFormat::msgpack:
      return write(as_text(payload));
  }
}

Status FailedInputs::close() {
  if (std::fflush(file_.get()) != 0 && error_ == 0) error_ = errno;
  file_.reset();
  if (error_ != 0)
    return Error{Code::unavailable, "cannot write the failed inputs to " + path_ + ": " + std::strerror(error_)};
  return {};
}

}  // namespace ventile
