#include <nodes/run/run_input.hpp>

#include <algorithm>
#include <utility>

#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

class RunInputs final : public Input {
public:
  RunInputs(std::unique_ptr<Arguments> arguments, PassOver pass_over, Provision provision)
      : arguments_(std::move(arguments)), pass_over_(std::move(pass_over)), provision_(std::move(provision)) {}

  Result<bool> read(PayloadWriter& block, std::size_t bytes_max, std::uint32_t count_max) override {
    while (block.count() < count_max && block.size() < bytes_max) {
      RunInput input;
      const Result<ArgumentSource::Next> next = arguments_->next(input.arguments, block.count() == 0);
      if (!next && block.count() == 0) return next.error();
      if (!next || *next != ArgumentSource::Next::value) break;
      input.sequence = ++sequence_;
      if (pass_over_ && pass_over_(input.arguments, input.sequence)) {
        passed_over_.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      if (provision_) provision_(input);
      Packer packer{block.buffer()};
      pack_value(packer, input);
      block.end_payload();
    }
    return block.count() > 0;
  }
  void interrupt() override { arguments_->interrupt(); }
  std::uint64_t skipped() const override { return passed_over_.load(std::memory_order_relaxed); }

private:
  std::unique_ptr<Arguments> arguments_;
  PassOver pass_over_;
  Provision provision_;
  std::uint64_t sequence_ = 0;
  std::atomic<std::uint64_t> passed_over_{0};
};

class ListedInputs final : public Input {
public:
  explicit ListedInputs(std::vector<RunInput> tasks) : tasks_(std::move(tasks)) {}

  Result<bool> read(PayloadWriter& block, std::size_t bytes_max, std::uint32_t count_max) override {
    for (; at_ < tasks_.size() && block.count() < count_max && block.size() < bytes_max; ++at_) {
      Packer packer{block.buffer()};
      pack_value(packer, tasks_[at_]);
      block.end_payload();
    }
    return block.count() > 0;
  }
  void interrupt() override {}
  std::uint64_t skipped() const override { return 0; }

private:
  std::vector<RunInput> tasks_;
  std::size_t at_ = 0;
};

class BlockInputs final : public Input {
public:
  BlockInputs(BlockReader blocks, Provision provision) : blocks_(std::move(blocks)), provision_(std::move(provision)) {}

  Result<bool> read(PayloadWriter& block, std::size_t /*bytes_max*/, std::uint32_t /*count_max*/) override {
    RunInput input;
    Result<bool> more = blocks_.next(input.standard_input);
    if (!more || !*more) return more;
    input.sequence = ++sequence_;
    if (provision_) provision_(input);
    Packer packer{block.buffer()};
    pack_value(packer, input);
    block.end_payload();
    return true;
  }
  void interrupt() override { blocks_.reader().interrupt(); }
  std::uint64_t skipped() const override { return 0; }

private:
  BlockReader blocks_;
  Provision provision_;
  std::uint64_t sequence_ = 0;
};

}  // namespace

std::unique_ptr<Input> make_run_input(std::unique_ptr<Arguments> arguments, PassOver pass_over, Provision provision) {
  return std::make_unique<RunInputs>(std::move(arguments), std::move(pass_over), std::move(provision));
}

std::unique_ptr<Input> make_block_input(BlockReader blocks, Provision provision) {
  return std::make_unique<BlockInputs>(std::move(blocks), std::move(provision));
}

std::unique_ptr<Input> make_listed_input(std::vector<RunInput> tasks) {
  return std::make_unique<ListedInputs>(std::move(tasks));
}

BlockReader::BlockReader(std::unique_ptr<ByteReader> reader, BlockOptions options)
    : reader_(std::move(reader)), options_(std::move(options)), border_(options_.record_end + options_.record_start) {}

// Where the first block of `text` ends; 0 if that is not known yet.
std::size_t BlockReader::block_end(std::string_view text, bool at_end) const {
  if (border_.empty()) {  // Bytes without records.
    if (text.size() >= options_.block_bytes) return options_.block_bytes;
    return at_end ? text.size() : 0;
  }
  const std::size_t offset = options_.record_end.size();  // Of the cut in a border.
  if (options_.records > 0) {
    std::size_t border = 0;
    for (std::uint32_t count = 0; count < options_.records; ++count) {
      // What begins a record at the very front ends none.
      const std::size_t from = count > 0 ? border + border_.size() : std::size_t{offset == 0 ? 1U : 0U};
      border = text.find(border_, from);
      if (border == std::string_view::npos) return at_end ? text.size() : 0;
    }
    return border + offset;
  }
  if (text.size() <= options_.block_bytes) return at_end ? text.size() : 0;
  // The last border whose cut lies within the block, or else the first behind it.
  const std::size_t within = options_.block_bytes - std::min<std::size_t>(offset, options_.block_bytes);
  if (const std::size_t border = text.rfind(border_, within); border != std::string_view::npos && border + offset > 0)
    return border + offset;
  if (const std::size_t border = text.find(border_, within); border != std::string_view::npos) return border + offset;
  return at_end ? text.size() : 0;
}

Result<bool> BlockReader::next(std::string& block) {
  while (true) {
    const std::string_view text = as_text(reader_->bytes());
    const std::size_t end = block_end(text, reader_->at_end());
    if (end > 0) {
      block = text.substr(0, end);
      reader_->consume(end);
      return true;
    }
    if (reader_->at_end()) return false;
    if (text.size() > options_.block_bytes_max)
      return Error{Code::invalid, reader_->name() + ": a record is longer than " +
                                      std::to_string(options_.block_bytes_max) + " bytes; is --recend right?"};
    Result<bool> more = reader_->read_more(true);
    if (!more || !*more) return more;
  }
}

}  // namespace ventile
