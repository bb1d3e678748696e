#include <ventile/queue/settlement.hpp>

#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

// Reads {"kind":…, "message":…} of a failed task's payload; what is not there stays empty.
FailureNote note_of(Number number, Outcome outcome, Bytes payload) {
  FailureNote note{{number, 1}, outcome, {}, {}};
  Unpacker unpacker{payload};
  std::uint32_t count = 0;
  if (!unpacker.read_map(count)) return note;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view key;
    std::string_view text;
    if (!unpacker.read_string(key)) return note;
    if (key != "kind" && key != "message") {
      if (!unpacker.skip()) return note;
    } else if (!unpacker.read_string(text)) {
      return note;
    } else {
      (key == "kind" ? note.kind : note.message) = text.substr(0, FailureNote::message_bytes_max);
    }
  }
  return note;
}

}  // namespace

std::uint64_t bytes_of(const Results& results, Range part) {
  if (results.folded) return results.payloads[0].size();
  const auto first = static_cast<std::uint32_t>(part.first - results.range.first);
  return results.payloads.run(first, static_cast<std::uint32_t>(part.count)).size();
}

Settlement settlement_of(const Envelope& envelope, const Results& results, Range range, Verdict verdict) {
  Settlement settlement{envelope.incarnation, results.lease, range, verdict, 0, 0, {}};
  if (verdict != Verdict::stored) return settlement;
  settlement.busy_nanoseconds = range == results.range ? results.busy_nanoseconds : 0;
  settlement.bytes = bytes_of(results, range);
  for (const Failure& failure : results.failures)
    if (const Number number = results.range.first + failure.offset; range.contains(number))
      settlement.failures.push_back(note_of(number, failure.outcome, results.payloads[failure.offset]));
  return settlement;
}

std::vector<RangeOutcome> exceptions_in(const Results& results, Range range) {
  std::vector<RangeOutcome> exceptions;
  for (const Failure& failure : results.failures)
    if (const Number number = results.range.first + failure.offset; range.contains(number))
      exceptions.push_back({{number, 1}, failure.outcome});
  return exceptions;
}

}  // namespace ventile
