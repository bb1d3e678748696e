// The conversation that PROTOCOL.md works out in hexadecimal, and how it is written there.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <ventile/wire/codec.hpp>

namespace ventile::testing {

struct Spoken {
  std::string direction;  // "worker → dispatcher"
  Buffer frame;
};

// A job of two tasks from HELLO to BYE.
std::vector<Spoken> conversation();

// The names of a message's fields, by the name of the message.
using FieldNames = std::map<std::string, std::vector<std::string>>;

// A good frame as lines of hexadecimal, at most 16 bytes each, with what they mean behind them.
std::string annotated(Bytes frame, const FieldNames& names);

// The bytes of such lines.
Buffer bytes_of_annotated(const std::string& text);

}  // namespace ventile::testing
