#include <ventile/task/result_writer.hpp>

#include <utility>

namespace ventile {

ResultWriter::ResultWriter(const ResultLimits& limits) : limits_(limits), writer_(limits.headroom) {}

void ResultWriter::begin(const TaskJob& job) { accumulator_ = job.fold ? job.fold->start() : nullptr; }

ResultWriter::Added ResultWriter::add_packed(Bytes packed) {
  writer_.buffer().append(packed);
  return end_if_room();
}

ResultWriter::Added ResultWriter::add_error(const FailureText& error, Outcome outcome) {
  Packer packer{writer_.buffer()};
  pack_error(packer, shortened(error, limits_.result_bytes_max));
  const Added added = end_if_room();
  if (added == Added::yes) failures_.push_back({count_ - 1, outcome});
  return added;
}

std::vector<std::byte> ResultWriter::take_open() {
  const Bytes open = writer_.buffer().bytes().last(open_bytes());
  std::vector<std::byte> taken(open.begin(), open.end());
  discard_open();
  return taken;
}

ResultWriter::Added ResultWriter::unfoldable(const Error& error) {
  fold_error_ = error.message;
  return Added::unfoldable;
}

void ResultWriter::take(Finished& finished) {
  if (folding()) write_fold(finished);
  const std::size_t bytes = writer_.size();
  finished.payload_count = writer_.count();
  finished.payloads = writer_.take();
  writer_.reserve(bytes, finished.payload_count);  // The next results are probably as large.
  finished.failures = std::exchange(failures_, {});
  count_ = 0;
}

// A fold is of unknown size until it is packed. One that is too large to travel fails all its tasks.
void ResultWriter::write_fold(Finished& finished) {
  Packer packer{writer_.buffer()};
  accumulator_->pack(packer);
  accumulator_->clear();
  finished.folded = open_bytes() <= limits_.result_bytes_max;
  if (finished.folded) return writer_.end_payload();
  const std::string message = "the folded results have " + std::to_string(open_bytes()) + " bytes, more than the " +
                              std::to_string(limits_.result_bytes_max) + " that one result may have";
  discard_open();
  for (std::uint32_t offset = 0; offset < count_; ++offset) {
    pack_error(packer, {"result", message, {}});
    writer_.end_payload();
    failures_.push_back({offset, Outcome::failed});
  }
}

}  // namespace ventile
