// Where the arguments of tasks come from: the command line, files, standard input, and all combinations of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nodes/io/byte_reader.hpp>
#include <nodes/run/source_spec.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

struct ArgumentOptions {
  char delimiter = '\n';             // Of values in files.
  std::string column_separator;      // A regular expression; empty: a value is one argument.
  bool trim = false;                 // Blanks around every argument; with a column separator.
  bool header = false;               // The first value of every source names its columns.
  bool skip_empty = false;           // An empty value makes no task.
  std::uint32_t arguments_each = 1;  // Values per task.
  std::size_t value_bytes_max = 64U << 20;
};

// The values of one source, one after the other.
class ArgumentSource {
public:
  enum class Next : std::uint8_t { value, nothing_yet, end };

  ArgumentSource() = default;
  virtual ~ArgumentSource() = default;
  ArgumentSource(const ArgumentSource&) = delete;
  ArgumentSource& operator=(const ArgumentSource&) = delete;

  // With `wait`, nothing_yet only after interrupt().
  virtual Result<Next> next(std::string& value, bool wait) = 0;
  virtual void interrupt() {}  // From any thread.
  virtual const ByteReader* reader() const { return nullptr; }
};

Result<std::unique_ptr<ArgumentSource>> open_source(const SourceSpec& spec, const ArgumentOptions& options);

// The arguments of one task after the other. The first source is read as it comes; the others, which are gone through
// again and again, are held in memory. The last source varies fastest. Sources that are linked end with the shortest.
class Arguments {
public:
  // Reads the names if there is a header.
  static Result<std::unique_ptr<Arguments>> open(const std::vector<SourceSpec>& specs, const ArgumentOptions& options);

  // As ArgumentSource::next(); `arguments` are those of the next task.
  Result<ArgumentSource::Next> next(std::vector<std::string>& arguments, bool wait);
  void interrupt();  // From any thread.

  const std::vector<std::string>& names() const { return names_; }  // From the header; may be empty.
  const ByteReader* reader() const { return sources_.front()->reader(); }

private:
  using Row = std::vector<std::string>;
  using Next = ArgumentSource::Next;

  ArgumentOptions options_;
  std::optional<std::regex> separator_;
  std::string plain_separator_;  // Instead, if it is nothing but text.
  std::vector<std::unique_ptr<ArgumentSource>> sources_;
  std::size_t linked_to_first_ = 1;     // Sources that are read as they come.
  std::vector<std::vector<Row>> rest_;  // Each group of other sources, with linked ones joined.
  std::vector<std::size_t> at_;         // Where in each of `rest_`.
  std::vector<std::string> names_;
  Row first_;  // The current row of the first group …
  bool has_first_ = false;
  Row partial_;  // … and what a task of several values has so far.
  std::uint32_t partial_count_ = 0;
  std::size_t linked_read_ = 0;

  explicit Arguments(ArgumentOptions options) : options_(std::move(options)) {}
  Status open_all(const std::vector<SourceSpec>& specs);
  Status read_names();
  Status read_rest(const std::vector<SourceSpec>& specs);
  Row columns(std::string value) const;
  Result<Next> next_first(bool wait);
  Result<Next> next_combination(Row& row, bool wait);
};

}  // namespace ventile
