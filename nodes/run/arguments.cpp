#include <nodes/run/arguments.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ventile {
namespace {

class ListedValues final : public ArgumentSource {
public:
  explicit ListedValues(std::vector<std::string> values) : values_(std::move(values)) {}

  Result<Next> next(std::string& value, bool /*wait*/) override {
    if (at_ == values_.size()) return Next::end;
    value = std::move(values_[at_++]);
    return Next::value;
  }

private:
  std::vector<std::string> values_;
  std::size_t at_ = 0;
};

class ReadValues final : public ArgumentSource {
public:
  ReadValues(std::unique_ptr<ByteReader> reader, const ArgumentOptions& options)
      : reader_(std::move(reader)), delimiter_(options.delimiter), value_bytes_max_(options.value_bytes_max) {}

  Result<Next> next(std::string& value, bool wait) override {
    while (true) {
      const std::string_view text = as_text(reader_->bytes());
      if (const std::size_t end = text.find(delimiter_, searched_); end != std::string_view::npos) {
        value = text.substr(0, end);
        return pass(end + 1);
      }
      searched_ = text.size();
      if (reader_->at_end()) {
        if (text.empty()) return Next::end;
        value = text;
        return pass(text.size());
      }
      if (text.size() > value_bytes_max_)
        return Error{Code::invalid, reader_->name() + ": an argument is longer than " +
                                        std::to_string(value_bytes_max_) + " bytes; is the delimiter right?"};
      const Result<bool> more = reader_->read_more(wait);
      if (!more) return more.error();
      if (!*more) return Next::nothing_yet;
    }
  }
  void interrupt() override { reader_->interrupt(); }
  const ByteReader* reader() const override { return reader_.get(); }

private:
  std::unique_ptr<ByteReader> reader_;
  char delimiter_;
  std::size_t value_bytes_max_;
  std::size_t searched_ = 0;  // So many bytes hold no delimiter.

  Next pass(std::size_t count) {
    reader_->consume(count);
    searched_ = 0;
    return Next::value;
  }
};

void trim(std::string& text) {
  constexpr std::string_view blanks = " \t";
  text.erase(0, std::min(text.find_first_not_of(blanks), text.size()));
  text.erase(text.find_last_not_of(blanks) + 1);
}

bool is_plain_text(std::string_view pattern) {
  return pattern.find_first_of("\\^$.|?*+()[]{}") == std::string_view::npos;
}

void append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Result<std::unique_ptr<ArgumentSource>> open_source(const SourceSpec& spec, const ArgumentOptions& options) {
  if (!spec.from_file) return std::unique_ptr<ArgumentSource>{std::make_unique<ListedValues>(spec.values)};
  Result<std::unique_ptr<ByteReader>> reader = ByteReader::open(spec.file);
  if (!reader) return reader.error();
  return std::unique_ptr<ArgumentSource>{std::make_unique<ReadValues>(std::move(*reader), options)};
}

Result<std::unique_ptr<Arguments>> Arguments::open(const std::vector<SourceSpec>& specs,
                                                   const ArgumentOptions& options) {
  std::unique_ptr<Arguments> made{new Arguments{options}};
  if (Status opened = made->open_all(specs); !opened) return opened.error();
  return made;
}

Status Arguments::open_all(const std::vector<SourceSpec>& specs) {
  if (is_plain_text(options_.column_separator)) {
    plain_separator_ = options_.column_separator;
  } else {
    try {
      separator_.emplace(options_.column_separator, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& error) {
      return Error{Code::invalid, "--colsep: '" + options_.column_separator +
                                      "' is not a regular expression that can be used: " + error.what()};
    }
  }
  for (const SourceSpec& spec : specs) {
    Result<std::unique_ptr<ArgumentSource>> source = open_source(spec, options_);
    if (!source) return source.error();
    sources_.push_back(std::move(*source));
  }
  while (linked_to_first_ < specs.size() && specs[linked_to_first_].linked) ++linked_to_first_;
  if (options_.header)
    if (Status read = read_names(); !read) return read;
  return read_rest(specs);
}

Status Arguments::read_names() {
  for (const std::unique_ptr<ArgumentSource>& source : sources_) {
    std::string value;
    const Result<Next> next = source->next(value, true);
    if (!next) return next.error();
    if (*next == Next::value) append(names_, columns(std::move(value)));
  }
  return {};
}

Status Arguments::read_rest(const std::vector<SourceSpec>& specs) {
  for (std::size_t i = linked_to_first_; i < specs.size(); ++i) {
    std::vector<Row> rows;
    for (std::string value;;) {
      const Result<Next> next = sources_[i]->next(value, true);
      if (!next) return next.error();
      if (*next != Next::value) break;
      rows.push_back(columns(std::move(value)));
    }
    if (!specs[i].linked) {
      rest_.push_back(std::move(rows));
      continue;
    }
    std::vector<Row>& before = rest_.back();
    before.resize(std::min(before.size(), rows.size()));
    for (std::size_t row = 0; row < before.size(); ++row) append(before[row], rows[row]);
  }
  at_.assign(rest_.size(), 0);
  return {};
}

Arguments::Row Arguments::columns(std::string value) const {
  Row row;
  if (!separator_ && plain_separator_.empty()) {
    row.push_back(std::move(value));
  } else if (separator_) {
    std::sregex_token_iterator at{value.begin(), value.end(), *separator_, -1};
    for (; at != std::sregex_token_iterator{}; ++at) row.push_back(*at);
    if (row.empty()) row.emplace_back();
  } else {
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = value.find(plain_separator_, begin)) != std::string::npos;
         begin = end + plain_separator_.size())
      row.push_back(value.substr(begin, end - begin));
    row.push_back(value.substr(begin));
  }
  if (options_.trim)
    for (std::string& column : row) trim(column);
  return row;
}

// Makes first_ the next row of the sources that are read as they come.
Result<Arguments::Next> Arguments::next_first(bool wait) {
  if (linked_read_ == 0) first_.clear();
  while (linked_read_ < linked_to_first_) {
    std::string value;
    Result<Next> next = sources_[linked_read_]->next(value, wait);
    if (!next || *next != Next::value) return next;
    if (options_.skip_empty && value.empty() && linked_to_first_ == 1) continue;
    append(first_, columns(std::move(value)));
    ++linked_read_;
  }
  linked_read_ = 0;
  return Next::value;
}

Result<Arguments::Next> Arguments::next_combination(Row& row, bool wait) {
  if (std::any_of(rest_.begin(), rest_.end(), [](const auto& rows) { return rows.empty(); })) return Next::end;
  if (!has_first_) {
    Result<Next> next = next_first(wait);
    if (!next || *next != Next::value) return next;
    has_first_ = true;
  }
  row = first_;
  for (std::size_t i = 0; i < rest_.size(); ++i) append(row, rest_[i][at_[i]]);
  std::size_t digit = rest_.size();
  while (digit > 0 && ++at_[digit - 1] == rest_[digit - 1].size()) at_[--digit] = 0;
  has_first_ = digit > 0;
  return Next::value;
}

Result<ArgumentSource::Next> Arguments::next(std::vector<std::string>& arguments, bool wait) {
  while (partial_count_ < options_.arguments_each) {
    Row row;
    Result<Next> next = next_combination(row, wait);
    if (!next) return next;
    if (*next == Next::nothing_yet) return next;
    if (*next == Next::end && partial_count_ == 0) return Next::end;
    if (*next == Next::end) break;
    append(partial_, row);
    ++partial_count_;
  }
  arguments = std::exchange(partial_, {});
  partial_count_ = 0;
  return Next::value;
}

void Arguments::interrupt() {
  for (const std::unique_ptr<ArgumentSource>& source : sources_) source->interrupt();
}

}  // namespace ventile
