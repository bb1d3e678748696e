// Who is thrown out learns of it later, and costs nobody anything until then.
#include <ventile/net/detention.hpp>

#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/resource.h>

#include <string>

#include <ventile/net/descriptors.hpp>

#include "tcp_test.hpp"

namespace ventile {
namespace {

constexpr TimePoint start{std::chrono::hours{1}};
constexpr Duration sentence = std::chrono::seconds{5};
constexpr Duration moment{1};

// So many descriptors, until it is gone.
class DescriptorLimit {
public:
  explicit DescriptorLimit(rlim_t limit) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit lowered{limit, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  ~DescriptorLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

private:
  rlimit before_{};
};

class DetentionTest : public TcpTest {
protected:
  Connection connected() {
    const std::optional<Connection> made = over_ipv4();
    EXPECT_TRUE(made);
    return *made;
  }
  // As whoever had it does when it reads the end.
  void owner_closes(const Connection& connection) {
    wait_for_the_end_of(connection.accepted);
    ::close(connection.accepted);
    std::erase(descriptors, connection.accepted);
  }
  static std::uint64_t received_by(int descriptor) {
    tcp_info info{};
    socklen_t size = sizeof info;
    EXPECT_EQ(::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_bytes_received;
  }
};

TEST_F(DetentionTest, who_is_thrown_out_learns_of_it_when_its_time_is_over) {
  Detention detention{{.held_max = 2, .time = sentence}};
  const Connection one = connected();
  detention.take(one.accepted, cookie_of(one.accepted), start);
  owner_closes(one);
  detention.release(start + sentence - moment);
  EXPECT_TRUE(is_open(one.near));
  EXPECT_FALSE(detention.empty());
  detention.release(start + sentence);
  wait_for_the_end_of(one.near);
  EXPECT_TRUE(detention.empty());
}

TEST_F(DetentionTest, each_has_its_own_time) {
  Detention detention{{.held_max = 2, .time = sentence}};
  const Connection first = connected();
  const Connection second = connected();
  detention.take(first.accepted, cookie_of(first.accepted), start);
  detention.take(second.accepted, cookie_of(second.accepted), start + moment);
  owner_closes(first);
  owner_closes(second);
  detention.release(start + sentence);
  wait_for_the_end_of(first.near);
  EXPECT_TRUE(is_open(second.near));
}

TEST_F(DetentionTest, nobody_reads_what_it_says) {
  Detention detention{{.held_max = 1, .time = sentence}};
  const Connection one = connected();
  detention.take(one.accepted, cookie_of(one.accepted), start);
  const std::string much(1000, 'x');
  ASSERT_EQ(::send(one.near, much.data(), much.size(), MSG_NOSIGNAL), 1000);
  EXPECT_EQ(received_by(one.accepted), 0U);
  detention.release(start + sentence);  // And yet it hears the end.
  owner_closes(one);
  wait_for_the_end_of(one.near);
}

TEST_F(DetentionTest, what_it_had_said_takes_no_memory) {
  Detention detention{{.held_max = 1, .time = sentence}};
  const Connection one = connected();
  const std::string much(10'000, 'x');
  ASSERT_EQ(::send(one.near, much.data(), much.size(), MSG_NOSIGNAL), 10'000);
  pollfd arrived{one.accepted, POLLIN, 0};
  ASSERT_EQ(::poll(&arrived, 1, -1), 1);
  detention.take(one.accepted, cookie_of(one.accepted), start);
  wait_for_the_end_of(one.accepted);
}

// Somebody else may have the descriptor by now.
TEST_F(DetentionTest, another_connection_is_left_alone) {
  Detention detention{{.held_max = 1, .time = sentence}};
  const Connection one = connected();
  const Connection other = connected();
  detention.take(other.accepted, cookie_of(one.accepted), start);
  EXPECT_TRUE(is_open(other.accepted));
  EXPECT_TRUE(detention.empty());
  detention.take(one.accepted, cookie_of(one.accepted), start);
  detention.take(other.accepted, cookie_of(one.accepted), start);  // Nor when it is full.
  EXPECT_TRUE(is_open(other.accepted));
}

TEST_F(DetentionTest, who_finds_it_full_is_closed_at_once) {
  Detention detention{{.held_max = 1, .time = sentence}};
  const Connection first = connected();
  const Connection second = connected();
  detention.take(first.accepted, cookie_of(first.accepted), start);
  detention.take(second.accepted, cookie_of(second.accepted), start);
  owner_closes(first);
  wait_for_the_end_of(second.near);
  EXPECT_TRUE(is_open(first.near));
}

TEST_F(DetentionTest, it_takes_an_eighth_of_the_descriptors_at_most) {
  const DescriptorLimit few{64};
  Detention detention{{.held_max = 1000, .time = sentence}};
  std::vector<Connection> all;
  for (int i = 0; i < 9; ++i) {
    all.push_back(connected());
    detention.take(all.back().accepted, cookie_of(all.back().accepted), start);
    owner_closes(all.back());
  }
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(is_open(all.at(static_cast<std::size_t>(i)).near)) << i;
  wait_for_the_end_of(all.back().near);
}

TEST_F(DetentionTest, it_leaves_those_descriptors_that_are_kept_back) {
  const DescriptorLimit few{256};
  Detention detention{{.held_max = 1000, .time = sentence}};
  const Connection one = connected();
  const Connection other = connected();
  while (descriptors.back() < 256 - 18) kept(::fcntl(one.near, F_DUPFD_CLOEXEC, 0));  // One is left, and those.
  detention.take(one.accepted, cookie_of(one.accepted), start);
  detention.take(other.accepted, cookie_of(other.accepted), start);
  wait_for_the_end_of(other.near);
  EXPECT_TRUE(is_open(one.near));
}

TEST_F(DetentionTest, whoever_is_held_is_let_go_at_its_end) {
  const Connection one = connected();
  {
    Detention detention{{.held_max = 1, .time = sentence}};
    detention.take(one.accepted, cookie_of(one.accepted), start);
    owner_closes(one);
    EXPECT_TRUE(is_open(one.near));
  }
  wait_for_the_end_of(one.near);
}

}  // namespace
}  // namespace ventile
