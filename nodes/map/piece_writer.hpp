// Writes the results of a map at a broker, keeps the account of them, and tells of those that are not done.
#pragma once

#include <functional>
#include <memory>

#include <nodes/map/kept_inputs.hpp>
#include <nodes/map/lineup.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/ledger.hpp>
#include <ventile/queue/output.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/task/fold.hpp>

namespace ventile {

// One thread's.
class PieceWriter {
public:
  // `fold` is null if results are not combined. Of the callbacks those about failures are called. References must
  // outlive it.
  PieceWriter(Output& output, FoldAccumulator* fold, const VentilatorCallbacks& callbacks, KeptInputs& inputs)
      : output_(output), fold_(fold), callbacks_(callbacks), inputs_(inputs) {}

  // An error is the output's, or that of a fold that cannot take a result; the piece is then accounted for and lost.
  Status write(const Piece& piece);
  Status close(bool sync = false);  // With the folded value before; what is in a file is then on the disk, if asked.

  const Ledger& ledger() const { return ledger_; }

private:
  Output& output_;
  FoldAccumulator* fold_;
  const VentilatorCallbacks& callbacks_;
  KeptInputs& inputs_;
  Ledger ledger_;

  Status write(Range range, const Arrival& arrival);
  Status write(Range range, const Submission::DeliverOutcome& outcome);
  void tell(const FailureNote& note);
};

}  // namespace ventile
