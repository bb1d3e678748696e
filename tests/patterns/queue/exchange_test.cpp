// The dispatcher's end without keys: what is sent, and when.
#include <ventile/queue/exchange.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ventile/base/shared_arena.hpp>
#include <ventile/net/lending.hpp>

#include <tests/core/net/fixture.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ExchangeTest : public NetTest {
protected:
  // A worker that has said something.
  struct Guest {
    explicit Guest(ExchangeTest& test, const Endpoint& address) : socket(test.context) {
      EXPECT_TRUE(socket.connect(address));
      assign_random(incarnation);
      const Envelope envelope{{}, incarnation, {}, 1};
      Frame word{encode(envelope, Heartbeat{})};
      EXPECT_EQ(socket.send(word), SendOutcome::sent);
      EXPECT_TRUE(test.turn_until([&] { return test.last.has_value(); }));
      id = *std::exchange(test.last, std::nullopt);
    }

    // Names of the messages that have come, without a turn of the loop.
    std::vector<std::string> read() {
      std::vector<std::string> names;
      for (Frame frame; socket.receive(frame);) names.emplace_back(name_of(decode(frame.bytes())->message));
      return names;
    }

    DealerSocket socket;
    IncarnationId incarnation;
    PeerId id;
  };

  ExchangeTest() { assign_random(incarnation); }

  ExchangeHandlers handlers() {
    ExchangeHandlers all;
    all.on_message = [this](PeerId peer, const Received&) { last = peer; };
    all.on_malformed = [](PeerId, const Error& error, auto) { ADD_FAILURE() << error.message; };
    all.on_part = [](PeerId) {};
    all.on_unreachable = [](PeerId) {};
    return all;
  }

  void say(PeerId peer, const Message& message) { exchange.send(peer, {1, 1}, {}, message); }

  static Verdicts verdicts() { return {{{LeaseId{{9}, 1}, {0, 10}, Verdict::stored}}}; }

  IncarnationId incarnation;
  std::optional<PeerId> last;
  Exchange exchange{context, reactor, incarnation, frame_bytes_default, handlers()};
  // What is sent over inproc is there at once.
  Endpoint address = *exchange.bind(endpoint("inproc://" + std::to_string(reinterpret_cast<std::uintptr_t>(this))));
  Guest alice{*this, address};
  Guest bob{*this, address};
};

TEST_F(ExchangeTest, a_verdict_goes_with_what_is_sent_next_to_the_same_peer_and_before_it) {
  say(alice.id, verdicts());
  say(bob.id, Heartbeat{});
  EXPECT_THAT(alice.read(), IsEmpty());
  say(alice.id, Heartbeat{});
  EXPECT_THAT(alice.read(), ElementsAre("VERDICTS", "HEARTBEAT"));
  EXPECT_THAT(bob.read(), ElementsAre("HEARTBEAT"));
}

TEST_F(ExchangeTest, a_verdict_that_nothing_follows_is_sent_soon) {
  say(alice.id, verdicts());
  say(alice.id, verdicts());
  say(bob.id, verdicts());
  std::vector<std::string> got;
  std::vector<std::string> got_by_bob;
  EXPECT_TRUE(turn_until([&] {
    for (const std::string& name : alice.read()) got.push_back(name);
    for (const std::string& name : bob.read()) got_by_bob.push_back(name);
    return got.size() >= 2 && !got_by_bob.empty();
  }));
  EXPECT_THAT(got, ElementsAre("VERDICTS", "VERDICTS"));
  EXPECT_THAT(got_by_bob, ElementsAre("VERDICTS"));
}

TEST_F(ExchangeTest, a_verdict_that_was_put_off_dies_with_its_peer) {
  say(alice.id, verdicts());
  say(bob.id, verdicts());
  exchange.forget(alice.id);
  EXPECT_TRUE(turn_until([&] { return !bob.read().empty(); }));
  EXPECT_THAT(alice.read(), IsEmpty());
}

// What a peer lends in place of sending it.
class LentToExchange : public NetTest {
protected:
  LentToExchange() {
    assign_random(incarnation);
    start_lending();
    EXPECT_TRUE(socket.connect(address));
  }

  ExchangeHandlers handlers() {
    ExchangeHandlers all;
    all.on_message = [this](PeerId, const Received& received) { heard.emplace_back(name_of(received.message)); };
    all.on_malformed = [this](PeerId, const Error&, auto) { heard.emplace_back("malformed"); };
    all.on_unreadable = [this](PeerId, const Error& error) { heard.push_back(error.message); };
    all.on_part = [](PeerId) {};
    all.on_unreachable = [](PeerId) {};
    return all;
  }

  void say(const Message& message) {
    Frame frame{encode({{}, {5}, {}, 1}, message)};
    ASSERT_TRUE(turn_until([&] { return socket.send(frame) == SendOutcome::sent; }));  // Once it is connected.
  }
  void hello(MachineId machine) {
    Hello hello;
    hello.machine = machine;
    say(hello);
    hears("HELLO");
  }
  void lend() {
    PayloadWriter payloads{frame_header_size};
    payloads.append(std::vector<std::byte>(SharedArena::smallest));
    Frame offer{encode({{1, 1}, {5}, {}, 2}, Offer{{0, 1}, {}}, std::move(payloads))};
    const auto send = [&](Frame& note) {
      EXPECT_EQ(note.size(), lending::note_bytes);
      return socket.send(note);
    };
    EXPECT_TRUE(turn_until([&] { return send_or_lend(offer, send) == SendOutcome::sent; }));
  }
  void hears(const std::string& what) {
    ASSERT_TRUE(turn_until([&] { return !heard.empty(); }));
    EXPECT_THAT(heard, ElementsAre(HasSubstr(what)));
    heard.clear();
  }

  std::vector<std::string> heard;
  IncarnationId incarnation;
  Exchange exchange{context, reactor, incarnation, frame_bytes_default, handlers()};
  Endpoint address = *exchange.bind(endpoint("tcp://127.0.0.1:0"));
  DealerSocket socket{context};
};

TEST_F(LentToExchange, is_heard_as_if_it_was_sent) {
  hello(machine_of_process());
  lend();
  hears("OFFER");
}

TEST_F(LentToExchange, cannot_be_had_if_nobody_reads_it_for_too_long) {
  hello(machine_of_process());
  lend();
  lending::collect(Clock::now() + 2 * lending::unread_max);
  hears("it was lent too long ago");
}

// Nothing is opened for a stranger.
TEST_F(LentToExchange, cannot_be_had_of_whoever_has_not_said_that_it_is_here) {
  lend();
  hears("has not said where it is");
  hello({7, 8});
  lend();
  hears("has not said where it is");
}

}  // namespace
}  // namespace ventile
