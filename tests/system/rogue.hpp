// A peer with a good key that says what it likes, when it likes, over real sockets.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {

// Its words go out as they are, with whatever envelope its owner gives them. What it hears is kept until it is asked
// for. It says nothing of its own accord, no heartbeat either.
class Rogue {
public:
  // `keys`: whose it has stolen; none if it needs none.
  Rogue(const std::string& dispatcher, Role role, Keys keys = {});
  ~Rogue();
  Rogue(const Rogue&) = delete;
  Rogue& operator=(const Rogue&) = delete;

  // A HELLO that is in order; a worker's offers one slot, the function and credit for so many tasks.
  Hello hello(const std::string& function = {}, std::uint64_t credit = 0) const;
  // HELLOs that no dispatcher takes from a worker: with more slots than there may be, and without a node.
  std::vector<Hello> absurd_hellos() const;
  // Says HELLO and takes the session that WELCOME names.
  void enrol(const Hello& hello);
  // The same, if it is let in: false if the answer is REFUSED.
  bool comes_in(const Hello& hello);

  // With one payload of one byte for each number of a range that needs them.
  void say(const Message& message, JobId job = {}) { say(message, job, session); }
  void say(const Message& message, JobId job, SessionId in);
  void say(const Message& message, JobId job, SessionId in, Bytes payload);  // With this as its only payload.
  void say_bytes(const Buffer& frame);
  // The same to where results go, over a PUSH with the worker's key.
  void push(const std::string& sink, const Message& message, JobId job);

  // The next message of this kind, and what was in its envelope; what came before it is forgotten. The test fails, and
  // a default one is returned, if it does not come.
  template <class M>
  M hear() {
    M found{};
    const bool done = hear_until([&](const Message& heard) {
      const auto* message = std::get_if<M>(&heard);
      if (message == nullptr) return false;
      found = *message;
      if constexpr (requires { found.payloads; }) found.payloads = {};
      return true;
    });
    EXPECT_TRUE(done) << name_of(Message{M{}}) << " was not heard";
    return found;
  }
  // REFUSED, BYE or HELLO-AGAIN: there is no session any more.
  void hear_its_end();

  SessionId session;
  IncarnationId incarnation;
  NodeId node;
  Envelope envelope;  // Of what was last heard.

private:
  Role role_;
  Keys keys_;
  Context context_;
  Reactor reactor_;
  DealerSocket socket_;
  std::unique_ptr<PushSocket> push_;
  std::string pushed_to_;
  std::deque<Buffer> heard_;
  std::uint64_t sequence_ = 0;

  Buffer frame_of(const Message& message, JobId job, SessionId in);
  bool hear_until(const std::function<bool(const Message&)>& wanted);  // False if it does not come.
  bool turn_until(const std::function<bool()>& done);
};

}  // namespace ventile
