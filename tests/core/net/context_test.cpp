#include <ventile/net/context.hpp>

#include <sys/resource.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.hpp"

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Context, closing_drops_what_is_queued_and_never_hangs) {
  std::optional<Context> context(std::in_place);
  {
    PullSocket pull(*context, {.receive_high_water = 1});
    PushSocket push(*context, {.send_high_water = 100});
    const Result<Endpoint> bound = pull.bind(endpoint("tcp://127.0.0.1:0"));
    ASSERT_TRUE(bound);
    ASSERT_TRUE(push.connect(*bound));
    int queued = 0;
    while (queued < 200) {
      Frame large = frame(std::string(500'000, 'x'));
      const SendOutcome outcome = push.send(large);
      if (outcome == SendOutcome::sent) ++queued;
      if (outcome == SendOutcome::would_block && queued >= 100) break;
    }
    EXPECT_GE(queued, 100);
  }
  EXPECT_EQ(context->open_sockets(), 0);
  context.reset();
}

TEST(Context, a_socket_that_outlives_it_is_named_and_told) {
  std::vector<std::string> lines;
  std::optional<Context> context(std::in_place, ContextOptions{},
                                 Log([&](Level, std::string_view line) { lines.emplace_back(line); }));
  DealerSocket dealer(*context);
  ASSERT_TRUE(dealer.bind(endpoint("inproc://left-open")));
  EXPECT_EQ(context->open_sockets(), 1);
  context.reset();
  EXPECT_THAT(lines, ElementsAre(HasSubstr("DEALER bound to inproc://left-open")));
  Frame kept = frame("kept");
  EXPECT_EQ(dealer.send(kept), SendOutcome::would_block);
  EXPECT_EQ(text(kept), "kept");
  EXPECT_FALSE(dealer.receive(kept));
}

TEST(Context, the_end_of_the_context_stops_a_reactor) {
  std::optional<Context> context(std::in_place);
  PullSocket pull(*context);
  Reactor reactor;
  reactor.add(pull, [] { return Reading::drained; });
  context.reset();
  reactor.run();
}

TEST(Context, one_socket_too_many_is_refused) {
  Context context({.sockets_max = 2});
  PullSocket first(context);
  PullSocket second(context);
  EXPECT_THROW(PullSocket third(context), std::runtime_error);
  EXPECT_EQ(context.open_sockets(), 2);
}

TEST(Context, the_descriptor_limit_is_raised_to_what_is_allowed) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit lowered{before.rlim_max / 2, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  EXPECT_EQ(raise_descriptor_limit(), before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace ventile
