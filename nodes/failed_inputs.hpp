// The inputs of failed tasks, written so that they can be run again with `--input FILE`.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

  // Of a job with an input.
  void add(Bytes payload);
  // Of an index job. Long ranges are kept and written by close(), for that may take a while.
  void add_indices(Range numbers);
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
  std::vector<Range> long_ranges_;
  int error_ = 0;

  void write_indices(Range numbers);
  void write(std::string_view text);
};

}  // namespace ventile
