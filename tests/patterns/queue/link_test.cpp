// A conversation's way to a dispatcher whose name has no address yet, or another one than before.
#include <ventile/queue/link.hpp>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/core/net/fixture.hpp>
#include <ventile/base/shared_arena.hpp>
#include <ventile/net/lending.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LinkTest : public NetTest {
protected:
  LinkTest() { assign_random(incarnation); }

  // A dispatcher that says who it is.
  struct Host {
    explicit Host(LinkTest& test) : router(test.context), address(*router.bind(endpoint("tcp://127.0.0.1:0"))) {}
    RouterSocket router;
    Endpoint address;
  };

  // True once `host` was spoken to.
  bool hears(Host& host) {
    RoutingId peer;
    Frame word;
    return turn_until([&] {
      link.send({}, {}, Heartbeat{});
      return host.router.receive(peer, word);
    });
  }

  Result<Endpoint> look_up() {
    ++lookups;
    if (Endpoint* const at = now_at.load(); at != nullptr) return *at;
    return Error{Code::unavailable, "The host 'head' cannot be looked up: not yet."};
  }

  IncarnationId incarnation;
  std::atomic<Endpoint*> now_at{nullptr};
  std::atomic<int> lookups{0};
  std::vector<std::string> said;
  std::vector<std::string> heard;  // Names of messages.
  Link link{context,
            reactor,
            incarnation,
            frame_bytes_default,
            [this](const Received& received, const auto&) { heard.emplace_back(name_of(received.message)); },
            [this](const Error&, auto) { heard.emplace_back("malformed"); },
            [] {},
            {},
            [this](const Endpoint&) { return look_up(); }};
  const Endpoint name = endpoint("tcp://head:5570");

  Status connect() {
    return link.connect(name, Log{[this](Level, std::string_view line) { said.emplace_back(line); }});
  }
};

TEST_F(LinkTest, a_name_without_an_address_is_looked_up_until_it_has_one) {
  Host host{*this};
  ASSERT_TRUE(connect());
  EXPECT_THAT(said, ElementsAre(HasSubstr("'head' cannot be looked up: not yet. It is looked up again")));
  ASSERT_TRUE(turn_until([&] { return lookups.load() == 2; }));
  EXPECT_EQ(said.size(), 1U) << "said once";
  now_at = &host.address;
  EXPECT_TRUE(hears(host));
}

TEST_F(LinkTest, a_dispatcher_that_comes_back_at_another_address_is_found_there) {
  std::optional<Host> before{std::in_place, *this};
  now_at = &before->address;
  ASSERT_TRUE(connect());
  ASSERT_TRUE(hears(*before));
  Host after{*this};
  now_at = &after.address;
  before.reset();
  EXPECT_TRUE(hears(after));
  EXPECT_THAT(said, ElementsAre("tcp://head:5570 is now at " + after.address.to_string()));
}

TEST_F(LinkTest, a_dispatcher_that_was_moved_without_a_word_is_found_when_nothing_comes_any_more) {
  Host before{*this};
  now_at = &before.address;
  ASSERT_TRUE(connect());
  ASSERT_TRUE(hears(before));
  Host after{*this};
  now_at = &after.address;
  EXPECT_TRUE(hears(after)) << "though the connection to the other stands";
  EXPECT_THAT(said, ElementsAre("tcp://head:5570 is now at " + after.address.to_string()));
}

// Messages of a dispatcher on this machine, in place of which it sends notes.
class LentToLink : public LinkTest {
protected:
  static constexpr std::size_t large = SharedArena::smallest;

  LentToLink() {
    start_lending();
    now_at = &host.address;
    EXPECT_TRUE(connect());
    EXPECT_TRUE(turn_until([&] {
      link.send({}, {}, Heartbeat{});
      Frame hello;
      return host.router.receive(peer, hello);
    }));
  }

  static PayloadWriter large_payloads() {
    PayloadWriter payloads{frame_header_size};
    payloads.append(std::vector<std::byte>(large));
    return payloads;
  }
  static Frame large_message() {
    return Frame{encode({{1, 1}, {9}, {8}, 1}, Tasks{.range = {0, 1}}, large_payloads())};
  }
  void lend(Frame message) {
    EXPECT_EQ(send_or_lend(message,
                           [&](Frame& note) {
                             EXPECT_EQ(note.size(), lending::note_bytes);
                             return host.router.send(peer, note);
                           }),
              SendOutcome::sent);
  }

  Host host{*this};
  RoutingId peer;
};

TEST_F(LentToLink, what_is_lent_is_heard_as_if_it_was_sent) {
  link.borrow([](const Error& error) { ADD_FAILURE() << error.message; });
  lend(large_message());
  ASSERT_TRUE(turn_until([&] { return !heard.empty(); }));
  EXPECT_THAT(heard, ElementsAre("TASKS"));
}

TEST_F(LentToLink, what_cannot_be_had_is_said) {
  std::vector<std::string> why;
  link.borrow([&](const Error& error) { why.push_back(error.message); });
  lend(large_message());
  lend(large_message());
  lending::collect(Clock::now() + 2 * lending::unread_max);  // Nobody has read them for too long.
  ASSERT_TRUE(turn_until([&] { return why.size() == 2; }));
  EXPECT_THAT(why[0], HasSubstr("it was lent too long ago"));
  EXPECT_TRUE(heard.empty());
}

TEST_F(LentToLink, large_messages_are_lent_to_a_dispatcher_that_says_in_its_welcome_that_it_is_here) {
  const auto size_of_next = [&] {
    link.send(link.next_envelope({1, 1}, {}), Offer{{0, 1}, {}}, large_payloads());
    Frame frame;
    EXPECT_TRUE(turn_until([&] {
      RoutingId from;  // Words that were to find out whether anybody hears us may still come.
      return host.router.receive(from, frame) && (frame.size() == lending::note_bytes || frame.size() > large);
    }));
    return frame.size();
  };
  const auto welcome = [&](MachineId machine) {
    heard.clear();
    Frame frame{encode({{}, {9}, {8}, 1}, Welcome{500, 2000, 1, machine})};
    ASSERT_EQ(host.router.send(peer, frame), SendOutcome::sent);
    ASSERT_TRUE(turn_until([&] { return !heard.empty(); }));
  };
  welcome({});
  EXPECT_GT(size_of_next(), large);
  welcome({7, 8});
  EXPECT_GT(size_of_next(), large) << "it is elsewhere";
  welcome(machine_of_process());
  EXPECT_EQ(size_of_next(), lending::note_bytes);
  EXPECT_EQ(size_of_next(), lending::note_bytes);
  welcome({});
  EXPECT_GT(size_of_next(), large) << "it cannot read notes any more";
}

// With hundreds of leases a HELLO is large. A broker that was started again took the note for garbage, for ever.
TEST_F(LentToLink, a_hello_is_not_lent_nor_what_follows_until_there_is_a_welcome) {
  Frame frame{encode({{}, {9}, {8}, 1}, Welcome{500, 2000, 1, machine_of_process()})};
  ASSERT_EQ(host.router.send(peer, frame), SendOutcome::sent);
  ASSERT_TRUE(turn_until([&] { return !heard.empty(); }));
  Hello hello;
  hello.name = std::string(large, 'x');
  link.send({}, {}, hello);
  link.send(link.next_envelope({1, 1}, {}), Offer{{0, 1}, {}}, large_payloads());
  for (const char* const expected : {"HELLO", "OFFER"}) {
    ASSERT_TRUE(turn_until([&] {
      RoutingId from;
      return host.router.receive(from, frame) && decode(frame.bytes()) &&
             !std::holds_alternative<Heartbeat>(decode(frame.bytes())->message);
    }));
    EXPECT_STREQ(name_of(decode(frame.bytes())->message), expected);
  }
}

TEST_F(LentToLink, who_borrows_nothing_takes_a_note_for_what_it_is) {
  lend(large_message());
  ASSERT_TRUE(turn_until([&] { return !heard.empty(); }));
  EXPECT_THAT(heard, ElementsAre("malformed"));
}

}  // namespace
}  // namespace ventile
