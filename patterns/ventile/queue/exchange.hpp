// The dispatcher's end of all its conversations, for the drivers around Dispatcher: messages instead of frames, and
// peers instead of routing ids.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/payload_store.hpp>
#include <ventile/queue/refusals.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {

// What comes in. Called on the reactor's thread; views end with the call.
struct ExchangeHandlers {
  std::function<void(PeerId, const Received&)> on_message;
  std::function<void(PeerId, const Error&, std::optional<std::uint16_t> version)> on_malformed;
  std::function<void(PeerId)> on_part;         // A piece of a message that is not whole yet.
  std::function<void(PeerId)> on_unreachable;  // The transport knows no such peer any more; it is forgotten.
  std::function<void(PeerId)> on_connection_lost = [](PeerId) {};  // Perhaps: it is being probed.
  std::function<void(const std::string& warning)> on_turned_away = [](const std::string&) {};  // Peers, and why.
  // With keys: a guest has said what its key does not entitle it to (unauthorized, or forged if it is a result without
  // the seal of a lease of its own), and why not. Not heard.
  std::function<void(PeerId, RefusedFor reason, const std::string& why)> on_unauthorized = [](PeerId, RefusedFor,
                                                                                              const std::string&) {};
  // The peer's key is not on the list any more; it is forgotten.
  std::function<void(PeerId)> on_revoked = [](PeerId) {};
  // A message came from nobody whose key is known: of somebody who was revoked while connected. Not heard.
  std::function<void()> on_stranger = [] {};
  // What the peer has lent in place of sending it cannot be read: a message is lost. None: nothing is borrowed.
  std::function<void(PeerId, const Error&)> on_unreadable;
  // Sees every whole message first, and may take it by answering true.
  std::function<bool(PeerId, Frame&)> divert;
};

// Lives on its reactor's thread. Sending never blocks: what the transport has no room for waits here, in order, for
// each peer by itself, within the credit that the peer has given. VERDICTS, for which a worker waits only when it
// has used up its credit, wait for the next message to the same peer, until the turn ends in which `verdicts_wait` is
// over: one system call at either end, and one thread woken, not two.
//
// With keys, and on any transport but inproc, every message is held against the key of its sender: see rights.hpp. Who
// is taken off the list is forgotten within `sweep_interval`, and from then on neither heard nor spoken to. What is
// leased is sealed, to the source of a pipeline for whoever pulls it, and results that come this way are asked for
// their seal.
class Exchange {
public:
  Exchange(Context& context, Reactor& reactor, IncarnationId incarnation, std::size_t frame_bytes_max,
           ExchangeHandlers handlers, Keys keys = {});
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Result<Endpoint> bind(const Endpoint& endpoint);

  void send(PeerId peer, JobId job, SessionId session, const Message& message);
  // TASKS with payloads from the store, in as many messages as its size asks for; without any if there is no store.
  // Large payloads are sent from where they are stored.
  void send(const SendTasks& tasks, PayloadStore* payloads);
  // A frame that is encoded already, as it is or in parts.
  void send_frame(PeerId peer, const Envelope& envelope, Buffer frame);
  // A frame that came from another peer.
  void pass_on(PeerId peer, JobId job, SessionId session, Frame frame);
  // Nothing more is sent to this peer, nor kept for it.
  void forget(PeerId peer);

  // Nobody in particular without keys.
  PeerIdentity identity_of(PeerId peer) const;
  // Whether what a worker says that it holds was leased to its key. Everything without keys.
  bool is_sealed(PeerId peer, const HeldRange& held) const;
  std::vector<PeerId> peers() const;
  std::uint64_t malformed_count() const { return socket_.malformed_count(); }

  static constexpr Duration sweep_interval = std::chrono::milliseconds{100};
  static constexpr Duration verdicts_wait = std::chrono::milliseconds{1};

private:
  struct Link {
    RoutingId routing_id;
    std::deque<Frame> queue;       // What the transport had no room for, in order.
    std::vector<Frame> unhurried;  // Goes behind it, with what comes next.
    std::uint64_t sequence = 0;
    int descriptor = -1;
    bool is_here = false;  // On this machine, and reads what is lent to it, as we read what it lends.
    Assembler parts;
    std::string key;  // With keys: the public one, and what it is for.
    KeyRole role = KeyRole::worker;
  };

  Reactor& reactor_;
  IncarnationId incarnation_;
  std::size_t frame_bytes_max_;
  ExchangeHandlers handlers_;
  Keys keys_;
  bool guarded_ = false;
  std::uint64_t swept_ = 0;  // The list of guests as it was when it was last held against the peers.
  RouterSocket socket_;
  Monitor monitor_;
  std::unordered_map<RoutingId, PeerId> ids_;
  std::unordered_map<PeerId, Link> peers_;
  std::unordered_map<int, PeerId> by_descriptor_;
  std::uint64_t next_peer_ = 0;
  std::uint64_t transfers_ = 0;
  std::size_t blocked_ = 0;          // Peers with a queue.
  std::vector<PeerId> unhurried_;    // Peers for whom something waits for what comes next, or did.
  std::size_t unhurried_count_ = 0;  // For how many it still does.
  TimerId unhurried_due_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  // For timers that outlive this.

  PeerId peer_of(const RoutingId& routing_id, int descriptor);
  std::optional<PeerId> guest_of(const RoutingId& routing_id, const Frame& frame);  // None: nobody that may be heard.
  void sweep();
  Reading receive();
  void take_unguarded(PeerId peer, Frame& frame);
  void take(PeerId peer, Frame& frame);
  void take(PeerId peer, Frame& frame, const Frame& last_part);  // As which it came, if it came in parts.
  Seal seal_for(const Link& link, JobId job, LeaseId lease, Range range) const;
  bool is_sealed(PeerId peer, const Received& received) const;
  Reading on_connection();
  void probe(PeerId peer);
  std::uint64_t send_some(PeerId peer, const Envelope& envelope, Tasks tasks, PayloadStore& store);
  void enqueue(PeerId peer, Frame frame);
  void put_off(PeerId peer, Frame frame);
  void one_unhurried_less();
  void send_unhurried();
  void flush(PeerId peer);
  void flush_all();
};

// The options of a dispatcher that knows its peers by their keys as this exchange has them, which may be constructed
// later.
DispatcherOptions known_by(const Exchange& exchange, DispatcherOptions options);

}  // namespace ventile
