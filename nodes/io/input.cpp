#include <nodes/io/input.hpp>

#include <atomic>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <nodes/io/byte_reader.hpp>
#include <ventile/wire/json.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {

namespace {

// An item at the front of the bytes at hand.
struct Item {
  Bytes bytes;
  std::size_t consumed = 0;  // With its end mark.
};

// A format has
//
//   std::optional<Item> find(Bytes bytes, bool at_end);      // The first item, if all of it is there.
//   Result<bool> pack(const Item& item, Packer& packer);     // False: nothing that counts as a task.
//   void pass(const Item& item);                             // It is consumed; the next find() starts behind it.
//   std::string position() const;                            // Of the first item.
//   static constexpr bool goes_on;                           // Whether items follow a malformed one.

// Items that end with a mark.
template <char mark>
class Marked {
public:
  static constexpr bool goes_on = true;

  std::optional<Item> find(Bytes bytes, bool at_end) {
    if (bytes.empty()) return std::nullopt;
    const void* found = std::memchr(bytes.data() + searched_, mark, bytes.size() - searched_);
    if (found != nullptr) {
      const auto size = static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data());
      return Item{bytes.first(size), size + 1};
    }
    searched_ = bytes.size();
    return at_end ? std::optional{Item{bytes, bytes.size()}} : std::nullopt;
  }

  void pass(const Item&) {
    searched_ = 0;
    ++number_;
  }

  std::string position() const { return ":" + std::to_string(number_); }
  bool is_first() const { return number_ == 1; }

private:
  std::size_t searched_ = 0;  // So many bytes hold no mark.
  std::uint64_t number_ = 1;
};

class Lines : public Marked<'\n'> {
public:
  static Result<bool> pack(const Item& item, Packer& packer) {
    std::string_view line = as_text(item.bytes);
    if (line.ends_with('\r')) line.remove_suffix(1);
    packer.pack_string(line);
    return true;
  }
};

class NulMarked : public Marked<'\0'> {
public:
  static Result<bool> pack(const Item& item, Packer& packer) {
    packer.pack_string(as_text(item.bytes));
    return true;
  }
};

// It is JSON, but more than a value may be.
bool is_too_deep(const Error& error) { return error.message.starts_with("nested more than"); }

class JsonLines : public Marked<'\n'> {
public:
  Result<bool> pack(const Item& item, Packer& packer) const {
    const std::string_view line = as_text(item.bytes);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return false;
    if (const Status packed = pack_json(line, packer); !packed)
      return is_too_deep(packed.error())
                 ? packed.error()
                 : Error{packed.error().code, "not JSON: " + packed.error().message +
                                                  (is_first() ? "; for lines of plain text give --format lines" : "")};
    return true;
  }
};

class Values {
public:
  static constexpr bool goes_on = false;

  std::optional<Item> find(Bytes bytes, bool at_end) {
    const ValueScanner::State state = scanner_.scan(bytes);
    whole_ = state == ValueScanner::State::complete;
    cut_off_ = state == ValueScanner::State::incomplete;
    if (whole_) return Item{bytes.first(scanner_.offset()), scanner_.offset()};
    if (bytes.empty() || (state == ValueScanner::State::incomplete && !at_end)) return std::nullopt;
    return Item{bytes, bytes.size()};
  }

  Result<bool> pack(const Item& item, Packer& packer) const {
    if (cut_off_) return Error{Code::invalid, "the input ends within it"};
    if (!whole_) return why_not_whole(item.bytes);
    packer.append_packed(item.bytes);
    return true;
  }

  void pass(const Item& item) {
    scanner_ = ValueScanner{};
    offset_ += item.consumed;
  }

  std::string position() const { return ": in the value at byte " + std::to_string(offset_); }

private:
  ValueScanner scanner_;
  bool whole_ = false;
  bool cut_off_ = false;
  std::uint64_t offset_ = 0;

  static Error why_not_whole(Bytes bytes) {
    Unpacker unpacker{bytes};
    unpacker.skip();
    return unpacker.error();
  }
};

template <class Format>
class FormattedInput final : public Input {
public:
  FormattedInput(std::unique_ptr<ByteReader> reader, InputOptions options)
      : reader_(std::move(reader)), options_(options) {}

  Result<bool> read(PayloadWriter& block, std::size_t bytes_max, std::uint32_t count_max) override {
    while (block.count() < count_max) {
      const std::optional<Item> item = format_.find(reader_->bytes(), reader_->at_end());
      const Result<bool> more = item ? add(*item, block, bytes_max) : read_more(block.count() == 0);
      if (!more && block.count() == 0) return more.error();
      if (!more || !*more) break;
    }
    return block.count() > 0;
  }

  void interrupt() override { reader_->interrupt(); }
  std::uint64_t skipped() const override { return skipped_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_read() const override { return reader_->bytes_read(); }
  std::optional<std::uint64_t> bytes_total() const override { return reader_->bytes_total(); }

private:
  std::unique_ptr<ByteReader> reader_;
  const InputOptions options_;
  Format format_;
  std::atomic<std::uint64_t> skipped_{0};

  // False if the block has no room for the item, which then stays where it is; as it does if it is malformed.
  Result<bool> add(const Item& item, PayloadWriter& block, std::size_t bytes_max) {
    if (item.bytes.size() > options_.item_bytes_max) return too_long();
    Packer packer{block.buffer()};
    const Result<bool> packed = format_.pack(item, packer);
    if (block.count() > 0 && block.buffer().size() > bytes_max) {
      block.discard_open();
      return false;
    }
    if (packed && *packed) block.end_payload();
    if (!packed) {
      block.discard_open();
      if (!options_.skip_bad || !Format::goes_on) return malformed(packed.error());
      skipped_.fetch_add(1, std::memory_order_relaxed);
    }
    reader_->consume(item.consumed);
    format_.pass(item);
    return true;
  }

  // False at the end, and if there is nothing now.
  Result<bool> read_more(bool wait) {
    if (reader_->at_end()) return false;
    if (reader_->bytes().size() > options_.item_bytes_max) return too_long();
    return reader_->read_more(wait);
  }

  Error malformed(const Error& why) const {
    const bool ends = options_.skip_bad && !Format::goes_on;
    return {Code::invalid, reader_->name() + format_.position() + ": " + why.message +
                               (ends ? "; what follows in a msgpack stream cannot be told" : "")};
  }

  Error too_long() const {
    return {Code::invalid, reader_->name() + format_.position() + ": longer than the limit of " +
                               std::to_string(options_.item_bytes_max) + " bytes"};
  }
};

}  // namespace

Result<std::unique_ptr<Input>> open_input(const std::string& path, InputFormat format, InputOptions options) {
  Result<std::unique_ptr<ByteReader>> opened = ByteReader::open(path);
  if (!opened) return opened.error();
  const auto make = [&]<class Format>(std::type_identity<Format>) -> std::unique_ptr<Input> {
    return std::make_unique<FormattedInput<Format>>(std::move(*opened), options);
  };
  switch (format) {
    case InputFormat::lines:
      return make(std::type_identity<Lines>{});
    case InputFormat::nul:
      return make(std::type_identity<NulMarked>{});
    case InputFormat::jsonl:
      return make(std::type_identity<JsonLines>{});
    case InputFormat::msgpack:
      return make(std::type_identity<Values>{});
  }
  return Error{Code::invalid, "unknown input format"};
}

}  // namespace ventile
