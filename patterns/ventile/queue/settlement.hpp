// What a sink or a client says about results: shared by those who decide which of them count.
#pragma once

#include <cstdint>

#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// Names a received frame between a decider and its driver, which keeps the bytes until told to let go.
using FrameId = Id<struct FrameTag>;

// Bytes of the payloads of these numbers, which are among the results'. A folded result counts as a whole.
std::uint64_t bytes_of(const Results& results, Range part);

// Answers `range` of the results with a verdict; if that is stored, with what the dispatcher wants to know of them.
Settlement settlement_of(const Envelope& envelope, const Results& results, Range range, Verdict verdict);

// The outcomes other than done within `range` of the results.
std::vector<RangeOutcome> exceptions_in(const Results& results, Range range);

}  // namespace ventile
