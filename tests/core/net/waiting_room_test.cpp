// Who may go on waiting to be let in, and who is closed: decided without a socket. SECURITY.md gives the limits.
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ventile/net/arrivals.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/net/waiting_room.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What a CURVE server has said when a handshake has come so far.
constexpr std::uint64_t greeting = 64;
constexpr std::uint64_t welcome = greeting + 170;
constexpr std::uint64_t longest_error = welcome + 12;
constexpr std::uint64_t shortest_ready = welcome + 52;  // A PULL's.

class WaitingRoomTest : public testing::Test {
protected:
  // A connection that has this descriptor from now on.
  void arrive(int descriptor, WaitingRoom::Sight sight = {}) {
    sight.cookie = ++cookies;
    kernel[descriptor] = sight;
    room.on_arrived(descriptor, sight.cookie);
  }
  std::vector<int> look() {
    const auto see = [this](int descriptor) -> std::optional<WaitingRoom::Sight> {
      const auto found = kernel.find(descriptor);
      if (found == kernel.end()) return std::nullopt;
      return found->second;
    };
    std::vector<int> closing;
    for (const WaitingRoom::Waiting& one : room.on_look(see)) {
      EXPECT_EQ(one.cookie, kernel.at(one.descriptor).cookie);
      closing.push_back(one.descriptor);
    }
    return closing;
  }

  WaitingRoom room{{.waiting_max = 3, .handshake_bytes_max = 1000}};
  std::map<int, WaitingRoom::Sight> kernel;  // What is behind each descriptor.
  std::uint64_t cookies = 0;
};

TEST_F(WaitingRoomTest, as_many_as_may_wait_are_left_alone) {
  for (const int descriptor : {1, 2, 3}) arrive(descriptor);
  EXPECT_THAT(look(), IsEmpty());
  EXPECT_THAT(look(), IsEmpty());
}

TEST_F(WaitingRoomTest, the_oldest_go_for_those_who_come) {
  for (const int descriptor : {5, 4, 3, 2, 1}) arrive(descriptor);
  EXPECT_THAT(look(), ElementsAre(5, 4));
  EXPECT_THAT(look(), IsEmpty());
  arrive(9);
  EXPECT_THAT(look(), ElementsAre(3));
}

TEST_F(WaitingRoomTest, the_silent_go_before_those_who_speak) {
  arrive(1, {.received = 10});
  arrive(2);
  arrive(3, {.received = 10});
  EXPECT_THAT(look(), IsEmpty());
  arrive(4, {.received = 10});
  EXPECT_THAT(look(), ElementsAre(2));
  arrive(5, {.received = 10});
  EXPECT_THAT(look(), ElementsAre(1));
}

TEST_F(WaitingRoomTest, who_has_only_just_come_is_not_silent) {
  for (const int descriptor : {1, 2, 3}) arrive(descriptor, {.received = 10});
  EXPECT_THAT(look(), IsEmpty());
  arrive(4);
  EXPECT_THAT(look(), ElementsAre(1));
}

TEST_F(WaitingRoomTest, who_speaks_later_is_silent_no_more) {
  for (const int descriptor : {1, 2, 3}) arrive(descriptor);
  EXPECT_THAT(look(), IsEmpty());
  kernel[1].received = 10;
  arrive(4);
  EXPECT_THAT(look(), ElementsAre(2));
}

TEST_F(WaitingRoomTest, who_was_only_greeted_is_not_let_in) {
  for (const int descriptor : {1, 2, 3, 4}) arrive(descriptor, {.sent = greeting});
  EXPECT_THAT(look(), ElementsAre(1));
}

TEST_F(WaitingRoomTest, who_was_welcomed_is_not_let_in) {
  for (const int descriptor : {1, 2, 3, 4}) arrive(descriptor, {.sent = welcome});
  EXPECT_THAT(look(), ElementsAre(1));
}

TEST_F(WaitingRoomTest, who_was_told_an_error_is_not_let_in) {
  for (const int descriptor : {1, 2, 3, 4}) arrive(descriptor, {.sent = longest_error});
  EXPECT_THAT(look(), ElementsAre(1));
}

TEST_F(WaitingRoomTest, who_was_told_ready_is_let_in_and_may_say_what_it_likes) {
  for (const int descriptor : {1, 2, 3, 4})
    arrive(descriptor, {.received = std::uint64_t{1} << 40, .sent = shortest_ready});
  EXPECT_THAT(look(), IsEmpty());
  EXPECT_TRUE(room.empty());
}

TEST_F(WaitingRoomTest, who_is_let_in_later_counts_until_then) {
  for (const int descriptor : {1, 2, 3}) arrive(descriptor, {.sent = welcome});
  EXPECT_THAT(look(), IsEmpty());
  kernel[1].sent = shortest_ready;
  arrive(4);
  EXPECT_THAT(look(), IsEmpty());
  arrive(5);
  EXPECT_THAT(look(), ElementsAre(2));
}

TEST_F(WaitingRoomTest, who_says_more_than_a_handshake_has_is_closed_once) {
  arrive(1, {.received = 1000});
  arrive(2, {.received = 1001});
  EXPECT_THAT(look(), ElementsAre(2));
  EXPECT_THAT(look(), IsEmpty());
}

TEST_F(WaitingRoomTest, who_was_silent_is_looked_at_again) {
  arrive(1, {.sent = greeting});
  for (int i = 0; i < 3; ++i) EXPECT_THAT(look(), IsEmpty());
  EXPECT_FALSE(room.empty());
  kernel[1].received = 1001;
  EXPECT_THAT(look(), ElementsAre(1));
}

TEST_F(WaitingRoomTest, who_is_gone_does_not_count) {
  for (const int descriptor : {1, 2, 3}) arrive(descriptor);
  for (const int descriptor : {1, 2}) kernel.erase(descriptor);
  for (const int descriptor : {4, 5}) arrive(descriptor);
  EXPECT_THAT(look(), IsEmpty());
  arrive(6);
  EXPECT_THAT(look(), ElementsAre(3));
}

TEST_F(WaitingRoomTest, a_descriptor_that_another_connection_has_now_is_not_closed) {
  arrive(1, {.received = 1001});
  kernel[1].cookie = ++cookies;
  EXPECT_THAT(look(), IsEmpty());
  EXPECT_TRUE(room.empty());
}

// The first had gone before anybody looked, and both arrivals are told when the second has its descriptor.
TEST_F(WaitingRoomTest, a_descriptor_that_is_told_twice_waits_once_at_its_last_place) {
  arrive(1);
  arrive(2);
  arrive(3);
  room.on_arrived(1, kernel[1].cookie);
  EXPECT_THAT(look(), IsEmpty());
  arrive(4);
  EXPECT_THAT(look(), ElementsAre(2));
}

std::string security_page() {
  std::ifstream file(SECURITY_PAGE);
  EXPECT_TRUE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(WaitingRoomLimits, are_those_that_the_page_on_security_gives) {
  const ConnectionOptions connection;
  const WaitingRoom::Limits limits{.waiting_max = connection.curve.strangers_max};
  const std::string page = security_page();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(connection.handshake_time_max).count();
  EXPECT_THAT(page, HasSubstr("\n| a handshake | " + std::to_string(seconds) + " s |"));
  EXPECT_THAT(page, HasSubstr("\n| a frame | " + std::to_string(connection.frame_bytes_max >> 20) + " MiB "));
  EXPECT_THAT(page, HasSubstr("\n| bytes of a handshake | " + std::to_string(limits.handshake_bytes_max) + ";"));
  EXPECT_THAT(page, HasSubstr("wait to be let in | " + std::to_string(limits.waiting_max) + " at each tcp address"));
  const Arrivals::Limits arrivals;
  EXPECT_THAT(page, HasSubstr("connections that come | " + std::to_string(std::lround(arrivals.per_second)) +
                              " a second at each tcp address, and " + std::to_string(std::lround(arrivals.at_once)) +
                              " at once |"));
}

}  // namespace
}  // namespace ventile
