#include <ventile/compute/pieces.hpp>

#include <algorithm>
#include <vector>

#include <ventile/queue/settlement.hpp>
#include <ventile/task/function.hpp>

namespace ventile::detail {

std::uint64_t Piece::bytes() const {
  const auto* arrival = std::get_if<Arrival>(&what);
  return arrival == nullptr || arrival->results == nullptr ? 0 : bytes_of(*arrival->results, range);
}

TaskReport report_of(const Arrival& arrival, Number number, const std::string& function) {
  TaskReport report{Outcome::failed, {}, {}, function, arrival.worker, arrival.results->tries};
  if (const Failure* const failure = failure_of(arrival, number)) report.outcome = failure->outcome;
  const FailureText error = read_error(arrival.results->payloads[arrival.offset_of(number)]);
  report.kind = error.kind;
  report.message = error.message;
  return report;
}

const Failure* failure_of(const Arrival& arrival, Number number) {
  const std::vector<Failure>& failures = arrival.results->failures;
  if (failures.empty()) return nullptr;
  const std::uint32_t offset = arrival.offset_of(number);
  const auto at = std::lower_bound(failures.begin(), failures.end(), offset,
                                   [](const Failure& failure, std::uint32_t o) { return failure.offset < o; });
  return at != failures.end() && at->offset == offset ? &*at : nullptr;
}

}  // namespace ventile::detail
