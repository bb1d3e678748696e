// The inputs of failed tasks, written so that they can be run again with `--input FILE`.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <nodes/format.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/result.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// In the input's own format; the numbers of an index job as lines of JSON. Not thread-safe.
class FailedInputs {
public:
  // Code::unavailable names the path and the cause. An existing file is replaced.
  static Result<FailedInputs> open(const std::string& path, InputFormat format, const IndexRule& index);

  void add(Number number, Bytes payload);
  // Everything is in the file, or why not.
  Status close();

private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Closer> file_;
  InputFormat format_ = InputFormat::lines;
  IndexRule index_;
  int error_ = 0;

  void write(std::string_view text);
};

}  // namespace ventile
