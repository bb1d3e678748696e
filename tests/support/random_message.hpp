// Messages with contents drawn at random, within what the codec lets through.
#pragma once

#include <cstdint>

#include <ventile/wire/codec.hpp>
#include <ventile/wire/messages.hpp>

#include "tests/support/random.hpp"

namespace ventile::testing {

// A message and what it travels with. Payloads are in the writer only; the message's own view is empty.
struct Outgoing {
  Envelope envelope;
  Message message;
  PayloadWriter payloads{frame_header_size};
};

inline constexpr std::size_t message_types = std::variant_size_v<Message>;

// A message of the alternative `type` < message_types.
Outgoing random_message(std::size_t type, Random& random);

}  // namespace ventile::testing
