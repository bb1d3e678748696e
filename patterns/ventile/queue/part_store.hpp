// Parts of messages from many senders, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include <ventile/base/ids.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {

// Anybody may send parts under any name, and never finish. So all senders together have at most `bytes_max` here;
// beyond that the one that has said nothing for the longest loses its unfinished messages. It sends them again when
// nobody acknowledges them. A sender without an unfinished message takes no memory.
class PartStore {
public:
  explicit PartStore(std::size_t bytes_max = message_bytes_default) : bytes_max_(bytes_max) {}

  // As Assembler::add, for one of the senders.
  Result<Buffer> add(IncarnationId sender, const Part& part);

  std::size_t held_bytes() const { return held_; }
  std::size_t senders() const { return senders_.size(); }

private:
  struct Sender {
    Assembler parts;
    std::uint64_t last = 0;  // When it said something, in parts of all.
  };

  std::size_t bytes_max_;
  std::size_t held_ = 0;
  std::uint64_t parts_ = 0;
  std::map<IncarnationId, Sender> senders_;

  void make_room(IncarnationId speaker);
};

}  // namespace ventile
