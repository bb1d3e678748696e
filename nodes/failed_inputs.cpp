#include <nodes/failed_inputs.hpp>

#include <cerrno>
#include <cstring>

#include <ventile/wire/json.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

constexpr std::uint64_t long_range = 4096;

}  // namespace

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

void FailedInputs::add_indices(Range numbers) {
  if (numbers.count > long_range)
    long_ranges_.push_back(numbers);
  else
    write_indices(numbers);
}

void FailedInputs::write_indices(Range numbers) {
  for (Number number = numbers.first; number < numbers.end() && error_ == 0; ++number) {
    const std::uint64_t value =
        static_cast<std::uint64_t>(index_.start) + static_cast<std::uint64_t>(index_.step) * number;
    write(std::to_string(static_cast<std::int64_t>(value)) + "\n");
  }
}

void FailedInputs::add(Bytes payload) {
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
  for (const Range numbers : long_ranges_) write_indices(numbers);
  long_ranges_.clear();
  if (std::fflush(file_.get()) != 0 && error_ == 0) error_ = errno;
  file_.reset();
  if (error_ != 0)
    return Error{Code::unavailable, "cannot write the failed inputs to " + path_ + ": " + std::strerror(error_)};
  return {};
}

}  // namespace ventile
