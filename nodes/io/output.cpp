#include <nodes/io/output.hpp>

#include <array>
#include <charconv>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nodes/io/byte_writer.hpp>
#include <ventile/wire/base64.hpp>
#include <ventile/wire/json.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {

namespace {

void append_number(std::uint64_t number, std::string& out) {
  std::array<char, 20> digits;
  out.append(digits.data(), std::to_chars(digits.begin(), digits.end(), number).ptr);
}

// Any payload as JSON: null if there is none, its bytes if they are not one msgpack value.
void append_payload(Bytes payload, std::string& out) {
  const std::size_t start = out.size();
  Unpacker unpacker{payload};
  if (payload.empty()) {
    out += "null";
  } else if (!append_json(unpacker, out) || !unpacker.at_end()) {
    out.resize(start);
    out += R"({"$bytes":")";
    append_base64(payload, out);
    out += "\"}";
  }
}

// A format has append(item, out) and append_fold(packed, count, out).

struct JsonLines {
  static void append(const ResultItem& item, std::string& out) {
    out += R"({"task":)";
    append_number(item.number, out);
    out += R"(,"outcome":")";
    out += to_string(item.outcome);
    out += item.outcome == Outcome::done ? R"(","value":)" : R"(","error":)";
    append_payload(item.payload, out);
    out += R"(,"tries":)";
    append_number(item.tries, out);
    if (item.count > 1) {
      out += R"(,"tasks":)";
      append_number(item.count, out);
    }
    out += "}\n";
  }

  static void append_fold(Bytes packed, std::uint64_t count, std::string& out) {
    out += R"({"fold":)";
    append_payload(packed, out);
    out += R"(,"tasks":)";
    append_number(count, out);
    out += "}\n";
  }
};

class Values {
public:
  void append(const ResultItem& item, std::string& out) {
    packed_.clear();
    Packer packer{packed_};
    packer.pack_array(item.count > 1 ? 5 : 4);
    packer.pack_unsigned(item.number);
    packer.pack_string(to_string(item.outcome));
    append_value(item.payload, packer);
    packer.pack_unsigned(item.tries);
    if (item.count > 1) packer.pack_unsigned(item.count);
    out += as_text(packed_);
  }

  void append_fold(Bytes packed, std::uint64_t, std::string& out) {
    packed_.clear();
    Packer packer{packed_};
    append_value(packed, packer);
    out += as_text(packed_);
  }

private:
  Buffer packed_;

  // Any payload as one value: nil if there is none, its bytes if they are not one msgpack value.
  static void append_value(Bytes payload, Packer& packer) {
    Unpacker unpacker{payload};
    if (payload.empty()) {
      packer.pack_nil();
    } else if (unpacker.skip() && unpacker.at_end()) {
      packer.append_packed(payload);
    } else {
      packer.pack_binary(payload);
    }
  }
};

class Raw {
public:
  explicit Raw(std::string separator) : separator_(std::move(separator)) {}

  void append(const ResultItem& item, std::string& out) const {
    if (item.outcome == Outcome::done) append_fold(item.payload, 1, out);
  }

  void append_fold(Bytes packed, std::uint64_t, std::string& out) const {
    Unpacker unpacker{packed};
    PackKind kind = PackKind::nil;
    std::string_view text;
    const bool is_text = unpacker.peek(kind) && (kind == PackKind::string || kind == PackKind::binary);
    if (is_text && unpacker.read_string(text) && unpacker.at_end()) {
      out += text;
    } else {
      append_payload(packed, out);
    }
    out += separator_;
  }

private:
  std::string separator_;
};

template <class Format>
class FormattedOutput final : public Output {
public:
  FormattedOutput(std::unique_ptr<ByteWriter> writer, Format format)
      : writer_(std::move(writer)), format_(std::move(format)) {}

  Status write(const ResultItem& item) override {
    format_.append(item, writer_->text());
    return writer_->flush_if_full();
  }
  Status write_fold(Bytes packed, std::uint64_t count) override {
    format_.append_fold(packed, count, writer_->text());
    return writer_->flush_if_full();
  }
  Status flush() override { return writer_->flush(); }
  Status sync() override { return writer_->sync(); }
  std::optional<std::uint64_t> end() const override { return writer_->end(); }
  Status close() override { return writer_->close(); }

private:
  std::unique_ptr<ByteWriter> writer_;
  Format format_;
};

}  // namespace

Result<std::unique_ptr<Output>> open_output(const std::string& path, OutputFormat format, OutputOptions options) {
  Result<std::unique_ptr<ByteWriter>> opened = ByteWriter::open(path, options.resume, options.cut_at);
  if (!opened) return opened.error();
  const auto make = [&]<class Format>(Format made) -> std::unique_ptr<Output> {
    return std::make_unique<FormattedOutput<Format>>(std::move(*opened), std::move(made));
  };
  switch (format) {
    case OutputFormat::jsonl:
      return make(JsonLines{});
    case OutputFormat::msgpack:
      return make(Values{});
    case OutputFormat::raw:
      return make(Raw{std::move(options.separator)});
  }
  return Error{Code::invalid, "unknown output format"};
}

}  // namespace ventile
