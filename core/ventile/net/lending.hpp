// Large frames between processes of one machine, without the kernel's copies: a note is sent in their place.
//
//   lender                                                     borrower
//   takes memory from its SharedArena, writes the frame there
//   keeps the frame, ticket: sent  ------ note, 48 bytes ----->  ticket: borrowed; reads the frame where it lies
//   lets go of the frame           <----- ticket: free --------  lets go of the frame
//
// The tickets are words in memory that both have mapped. A frame's memory is not used again until its ticket is free,
// or its borrower is dead, or the note has not been read for ten minutes, as it is if it was lost with a connection:
// whoever reads it later finds that it is not good any more, and knows that a message was lost.
//
// A borrower that passes the frame on as it is, as a broker does with results, hands on what it has borrowed: the
// ticket is sent once more, and the same note leads whoever gets it to the same memory.
//
// A borrower trusts its lenders: a frame's checksum is verified where it lies, and its lender could change it later. So
// nothing is lent where there are keys. Without, a process of the same user on the same machine could as well attach a
// debugger; from anybody else a note leads to nothing, for what it names must be sealed memory of this process's user,
// with the key that the note names. This is MPI's way, too (a shared-memory transport: Buntinas et al., Design
// and Evaluation of Nemesis, CCGrid 2006), but with the frame read in place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/result.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/frame.hpp>
#include <ventile/net/socket.hpp>

namespace ventile {

// What processes that can read each other's memory have in common: kernel, process ids, user. None if this one's
// cannot be read (no /proc, say), or if the program has switched lending off. Any thread.
MachineId machine_of_process();
// Whether frames may be lent to whoever says that it is on this machine, and listens at this address.
bool may_lend_to(MachineId machine, const Endpoint& address);
// Nothing is lent or borrowed from now on. For programs that are told so, before they talk to anybody.
void switch_off_lending();

// Gets ready to lend: the frames of buffers that are made from now on can be. Any thread.
void start_lending();

namespace lending {

struct Loan {
  Frame note;
  std::uint32_t ticket = 0;
  Frame handed_on;  // What was borrowed itself; empty: it is this process's own.
};
// If the frame can be lent, it is kept and a note is to be sent in its place. None if it is small, neither in the arena
// nor borrowed as it is, or if too many are lent already.
std::optional<Loan> lend(Frame& frame);
// The note was not sent.
void take_back(Loan& loan, Frame& frame);
// Lets go of the frames that nobody needs any more, as whoever lends and whoever finds the arena empty does, too.
void collect(TimePoint now);
// Frames that this process has borrowed.
std::uint64_t borrowed_count();

constexpr std::size_t note_bytes = 48;
constexpr std::uint32_t lent_max = 256;  // At once.
constexpr Duration unread_max = std::chrono::minutes{10};
constexpr Duration borrower_looked_after = std::chrono::seconds{1};  // Each, so often.
constexpr std::size_t lenders_max = 64;  // Whose memory stays mapped though nothing of it is borrowed.

}  // namespace lending

// Sends the frame, or a note if it can be lent. `send` is as that of a socket. Any thread.
template <class Send>
SendOutcome send_or_lend(Frame& frame, Send send) {
  std::optional<lending::Loan> loan = lending::lend(frame);
  if (!loan) return send(frame);
  const SendOutcome outcome = send(loan->note);
  if (outcome != SendOutcome::sent) lending::take_back(*loan, frame);
  return outcome;
}

// Whether a received frame came from a process of this machine, as far as its connection shows.
bool is_on_this_machine(const Frame& frame);

// Whether this came in place of a frame. It may be forged.
bool is_note(const Frame& frame);

// Puts the frame that a note stands for in its place; one that is no note stays as it is. A frame has at most
// `bytes_max` bytes, and may outlive everything but the process. Any thread. If it cannot be had, the note stays:
// `disconnected` says that its lender is dead, so that what it has sent is lost as with any connection; `failed` that a
// message was lost though its sender lives, and that nothing should be lent to this process any more.
Status borrow(Frame& frame, std::size_t bytes_max);

// For whoever lends or borrows and has nothing to do: once a second at most, frees what nobody has any more, and lets
// go of the memory of dead lenders. Any thread.
void let_go_of_what_is_lent(TimePoint now);

}  // namespace ventile
