// A conversation's way to a dispatcher whose name has no address yet, or another one than before.
#include <ventile/queue/link.hpp>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/core/net/fixture.hpp>

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
    Frame heard;
    return turn_until([&] {
      link.send({}, {}, Heartbeat{});
      return host.router.receive(peer, heard);
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
  Link link{context,
            reactor,
            incarnation,
            frame_bytes_default,
            [](const Received&, const auto&) {},
            [](const Error&, auto) {},
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

}  // namespace
}  // namespace ventile
