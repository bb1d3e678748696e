#include <ventile/queue/kept_file.hpp>

#include <optional>
#include <utility>
#include <variant>

#include <ventile/queue/settlement.hpp>

namespace ventile {
namespace {

// A message with the results of these numbers only.
Buffer cut(const Envelope& envelope, const Results& results, Range range) {
  const auto first = static_cast<std::uint32_t>(range.first - results.range.first);
  PayloadWriter payloads{frame_header_size};
  payloads.append(results.payloads, first, static_cast<std::uint32_t>(range.count));
  Results part = results;
  part.range = range;
  part.failures.clear();
  for (const Failure& failure : results.failures)
    if (range.contains(results.range.first + failure.offset))
      part.failures.push_back({failure.offset - first, failure.outcome});
  return encode(envelope, part, std::move(payloads));
}

std::optional<KeptPiece> piece_of(Bytes frame) {
  const Result<Received> received = decode(frame);
  if (!received) return std::nullopt;
  if (const auto* results = std::get_if<Results>(&received->message))
    return KeptPiece{results->range, bytes_of(*results, results->range), 0, frame.size()};
  const auto* propose = std::get_if<Propose>(&received->message);
  if (propose == nullptr || propose->ranges.size() != 1) return std::nullopt;
  return KeptPiece{propose->ranges.front(), 0, 0, frame.size()};
}

}  // namespace

Result<std::shared_ptr<KeptFile>> KeptFile::create(Folder& folder, const std::string& name) {
  Result<std::unique_ptr<File>> file = folder.create(name);
  if (!file) return file.error();
  if (Status synced = folder.sync(); !synced) return synced.error();
  return std::shared_ptr<KeptFile>{new KeptFile{std::move(*file), folder.path() + "/" + name}};
}

Result<std::shared_ptr<KeptFile>> KeptFile::open(Folder& folder, const std::string& name, std::uint64_t end,
                                                 const std::function<void(const KeptPiece&)>& visit) {
  Result<std::unique_ptr<File>> file = folder.open(name);
  if (!file) return file.error();
  std::shared_ptr<KeptFile> kept{new KeptFile{std::move(*file), folder.path() + "/" + name}};
  if (Status scanned = kept->scan(end, visit); !scanned) return scanned.error();
  return kept;
}

Status KeptFile::scan(std::uint64_t end, const std::function<void(const KeptPiece&)>& visit) {
  while (written_ < end) {
    const Result<Buffer> header = file_->read(written_, frame_header_size);
    if (!header) return header.error();
    const std::optional<std::uint64_t> size = frame_size(header->bytes());
    const Result<Buffer> frame = file_->read(written_, size && *size <= end - written_ ? *size : 0);
    if (!frame) return frame.error();
    std::optional<KeptPiece> piece = piece_of(frame->bytes());
    if (!piece)
      return Error{Code::corrupt, name_ + ": kept results are damaged or missing at byte " + std::to_string(written_)};
    piece->offset = written_;
    visit(*piece);
    written_ += piece->size;
  }
  return {};
}

KeptPiece KeptFile::append(Bytes frame, Range range, std::uint64_t bytes) {
  const KeptPiece piece{range, bytes, this->bytes(), frame.size()};
  unwritten_.append(frame);
  return piece;
}

KeptPiece KeptFile::add(const Envelope& envelope, const Results& results, Bytes frame, Range range) {
  const std::uint64_t bytes = bytes_of(results, range);
  if (range == results.range) return append(frame, range, bytes);
  return append(cut(envelope, results, range), range, bytes);
}

KeptPiece KeptFile::add(JobId job, const Propose& outcome) {
  return append(encode({job, {}, {}, 0}, outcome), outcome.ranges.front(), 0);
}

Status KeptFile::flush() {
  if (unwritten_.empty()) return {};
  if (Status wrote = file_->write(written_, unwritten_); !wrote) return wrote;
  written_ += unwritten_.size();
  unwritten_.clear();
  return {};
}

Result<Buffer> KeptFile::read(const KeptPiece& piece) const {
  Result<Buffer> frame = file_->read(piece.offset, piece.size);
  if (!frame) return frame;
  if (frame_size(frame->bytes()) == piece.size && frame->size() == piece.size) return frame;
  return Error{Code::corrupt, name_ + ": kept results are damaged at byte " + std::to_string(piece.offset)};
}

}  // namespace ventile
