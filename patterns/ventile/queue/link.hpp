// One end of a conversation with a dispatcher, as worker, sink and client have it: messages instead of frames.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include <ventile/base/ids.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/lookup.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {

// Lives on its reactor's thread. Sending never blocks: what the transport has no room for waits here, in order. A
// dispatcher that shuts us out, for our key or because only one side has keys, is heard as if it had said
// REFUSED(unauthorized).
//
// A name that cannot be looked up yet is looked up again until it can, as whoever listens there may come later. So is
// one that could while there is no connection, or nothing comes over it: a container that is started again has another
// address, and a machine that has lost its power does not close its connections.
class Link {
public:
  // A message, with the memory that its views point into; keep it to keep them.
  using OnMessage = std::function<void(const Received& received, const std::shared_ptr<const void>& memory)>;
  // Not a message: why, and the version if it is one of another.
  using OnMalformed = std::function<void(const Error& error, std::optional<std::uint16_t> version)>;

  // A piece of a message that is not whole yet: the other side lives.
  using OnPart = std::function<void()>;

  Link(Context& context, Reactor& reactor, IncarnationId incarnation, std::size_t frame_bytes_max, OnMessage on_message,
       OnMalformed on_malformed, OnPart on_part, const Keys& keys = {}, const Resolver& resolver = name_service());
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Large messages may come as notes of what is lent: see lending.hpp. Called when what a note stands for cannot be
  // had. To a dispatcher on this machine that says so in its WELCOME large messages are lent in any case.
  void borrow(std::function<void(const Error&)> on_unreadable) { on_unreadable_ = std::move(on_unreadable); }
  // Called whenever an open connection has broken; a new one is tried for anyway.
  void on_disconnected(std::function<void()> call) { on_disconnected_ = std::move(call); }
  // Blocks while a name is looked up for the first time. `log` is told of a name that has no address, or a new one.
  Status connect(const Endpoint& dispatcher, Log log = {});
  void send(JobId job, SessionId session, const Message& message);
  // The header of a message that is encoded by its sender.
  Envelope next_envelope(JobId job, SessionId session) { return {job, incarnation_, session, ++sequence_}; }
  void send(const Envelope& envelope, const Message& message, PayloadWriter&& payloads);
  // A frame that the sender keeps as well; the envelope is for its parts, if it must be cut.
  void send_encoded(const std::shared_ptr<const Buffer>& frame, const Envelope& envelope);
  bool idle() const { return queue_.empty(); }
  void drop_queue() { queue_.clear(); }  // A new session begins: nothing of the old one is worth sending.

private:
  Reactor& reactor_;
  IncarnationId incarnation_;
  std::size_t frame_bytes_max_;
  OnMessage on_message_;
  OnMalformed on_malformed_;
  OnPart on_part_;
  std::function<void()> on_disconnected_;
  std::function<void(const Error&)> on_unreadable_;  // Empty: nothing is borrowed.
  bool has_keys_;
  bool lends_ = false;
  DealerSocket socket_;
  Monitor monitor_;
  std::deque<Frame> queue_;
  Assembler parts_;
  std::uint64_t sequence_ = 0;
  std::uint64_t transfers_ = 0;

  Resolver resolver_;
  Lookup lookup_;
  Log log_;
  Endpoint dispatcher_;              // As it was named.
  std::optional<Endpoint> address_;  // Where it was when it was last looked up.
  bool connected_ = false;
  TimePoint heard_;             // When something came last.
  bool lookup_failed_ = false;  // The last time, and that was said.
  TimerId next_lookup_;

  Duration lookup_pause_ = lookup_interval;  // Doubles as long as nothing is new.

  static constexpr Duration lookup_interval = std::chrono::seconds{1};
  static constexpr Duration lookup_interval_max = std::chrono::seconds{8};
  static constexpr Duration silence_max = std::chrono::seconds{5};

  Reading receive();
  Reading on_connection();
  void take(Bytes bytes, const std::shared_ptr<const void>& memory);
  void on_welcome(const Welcome& welcome);
  void send_parts(Buffer frame, const Envelope& envelope);
  void flush();
  bool is_heard() const { return connected_ && reactor_.now() - heard_ < silence_max; }
  void look_up_later();
  void on_looked_up(const Result<Endpoint>& address);
};

}  // namespace ventile
