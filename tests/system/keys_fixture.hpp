// A fabric with keys as a test sees it, and intruders at its ports.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include <tests/system/fabric.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {

class KeysSystemTest : public SystemTest {
protected:
  KeysSystemTest() { EXPECT_EQ(start("ventile", {"keygen", "--out", path("keys")}).wait(), 0); }

  std::string keys(const std::string& of = {}) const { return path("keys") + (of.empty() ? "" : "/" + of); }

  Process& ventilate(Arguments more) {
    more.insert(more.end(), {"--keys", keys()});
    return start_ventilator(more);
  }
  Process& work(const std::string& as = "worker") { return start_worker({"-j", "1", "--keys", keys(as)}); }
  Process& collect() { return start_sink({"--output", path("results"), "--format", "raw", "--keys", keys()}); }
  Process& broker() {
    Process& process = start("ventile-broker", {"--bind", "tcp://127.0.0.1:0", "--keys", keys()});
    const std::string line = process.line_with("serving clients and workers on ");
    address_ = line.substr(line.rfind(' ') + 1);
    return process;
  }
  Process& ask(const std::string& question, const std::string& as, Arguments more = {}) {
    more.insert(more.begin(), question);
    more.insert(more.end(), {"--connect", address_, "--keys", keys(as)});
    return start("ventile", more);
  }

  // Where the sink says that results come in.
  static std::string results_address(Process& sink) {
    const std::string line = sink.line_with("results come in on ");
    return line.substr(line.rfind(' ') + 1);
  }
};

// A program of somebody else's, with keys or without, that says what it likes.
template <class Socket>
class Intruder {
public:
  Intruder(const std::string& address, const Curve& curve)
      : socket_(context_, {.connection = {.curve = curve}}), monitor_(context_, socket_) {
    reactor_.add(monitor_, [this] {
      ConnectionEvent event;
      if (!monitor_.receive(event)) return Reading::drained;
      using Kind = ConnectionEvent::Kind;
      shut_out_ = shut_out_ || event.kind == Kind::handshake_failed || event.kind == Kind::disconnected;
      let_in_ = let_in_ || event.kind == Kind::handshake_succeeded;
      return Reading::more;
    });
    EXPECT_TRUE(socket_.connect(*Endpoint::parse(address)));
  }

  // Whether the door opens.
  bool is_let_in() {
    turn_until([this] { return let_in_ || shut_out_; });
    return let_in_;
  }

  // Says this and returns the next answer. A heartbeat is none: it comes when another connection has ended.
  Message answer_to(const Message& message) {
    IncarnationId incarnation;
    assign_random(incarnation);
    Frame frame{encode({{}, incarnation, {}, 1}, message, PayloadWriter{frame_header_size})};
    std::optional<Message> answer;
    reactor_.add(socket_, [&] {
      Frame received;
      if (!socket_.receive(received)) return Reading::drained;
      const Result<Received> decoded = decode(received.bytes());
      if (decoded && !answer && !std::holds_alternative<Heartbeat>(decoded->message)) answer = decoded->message;
      return Reading::more;
    });
    bool sent = false;
    turn_until([&] {
      sent = sent || socket_.send(frame) == SendOutcome::sent;
      return answer.has_value();
    });
    reactor_.remove(socket_);
    return answer.value_or(HelloAgain{});
  }

private:
  Context context_;
  Reactor reactor_;
  Socket socket_;
  Monitor monitor_;
  bool let_in_ = false;
  bool shut_out_ = false;

  void turn_until(const std::function<bool()>& done) {
    const TimerId give_up = reactor_.call_at(reactor_.now() + guard, [this] {
      ADD_FAILURE() << "nothing happened";
      reactor_.stop();
    });
    TimerId tick;
    const std::function<void()> set_tick = [&] {
      tick = reactor_.call_at(reactor_.now() + std::chrono::milliseconds{1}, set_tick);
    };
    set_tick();
    reactor_.on_turn_end([&] {
      if (done()) reactor_.stop();
    });
    reactor_.run();
    reactor_.on_turn_end({});
    reactor_.cancel(tick);
    reactor_.cancel(give_up);
  }
};

inline Hello hello_as(Role role) {
  Hello hello;
  hello.role = role;
  assign_random(hello.node);
  hello.name = "intruder";
  hello.slots = role == Role::worker ? 1 : 0;
  hello.greeting = 1;
  return hello;
}

}  // namespace ventile
