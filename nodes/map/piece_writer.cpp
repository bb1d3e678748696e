#include <nodes/map/piece_writer.hpp>

#include <ventile/queue/settlement.hpp>
#include <ventile/task/function.hpp>

namespace ventile {

Status PieceWriter::write(const Piece& piece) {
  Status status = std::visit([&](const auto& what) { return write(piece.range, what); }, piece.what);
  inputs_.release(piece.range);
  return status;
}

Status PieceWriter::write(Range range, const Arrival& arrival) {
  const Results& results = *arrival.results;
  ledger_.record(range, exceptions_in(results, range));
  for (const FailureNote& note : settlement_of({}, results, range, Verdict::stored).failures) tell(note);
  if (results.folded) return fold_->merge_packed(results.payloads[0]);
  auto failure = results.failures.begin();
  for (Number number = range.first; number < range.end(); ++number) {
    const std::uint32_t offset = arrival.offset_of(number);
    while (failure != results.failures.end() && failure->offset < offset) ++failure;
    const bool failed = failure != results.failures.end() && failure->offset == offset;
    const Bytes payload = results.payloads[offset];
    Status status = fold_ != nullptr && !failed
                        ? fold_->add_packed(payload)
                        : output_.write({number, failed ? failure->outcome : Outcome::done, results.tries, payload});
    if (!status) return status;
  }
  return {};
}

Status PieceWriter::write(Range range, const Submission::DeliverOutcome& outcome) {
  ledger_.record(range, {{range, outcome.outcome}});
  tell({range, outcome.outcome, outcome.kind, outcome.message});
  Buffer payload;
  Packer packer{payload};
  pack_error(packer, {outcome.kind, outcome.message, {}});
  return output_.write({range.first, outcome.outcome, outcome.tries, payload, range.count});
}

void PieceWriter::tell(const FailureNote& note) {
  if (callbacks_.on_failures) callbacks_.on_failures(note);
  if (!callbacks_.on_failure) return;
  for (Number number = note.range.first; number < note.range.end(); ++number)
    inputs_.with(number, [&](Bytes input) { callbacks_.on_failure(number, input, note); });
}

Status PieceWriter::close(bool sync) {
  if (fold_ != nullptr) {
    Buffer value;
    Packer packer{value};
    fold_->pack(packer);
    if (Status written = output_.write_fold(value, ledger_.count(Outcome::done)); !written) return written;
  }
  Status flushed = sync ? output_.flush() : Status{};
  if (flushed && sync) flushed = output_.sync();
  return flushed ? output_.close() : flushed;
}

}  // namespace ventile
