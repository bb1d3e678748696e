#include <ventile/net/reactor.hpp>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ventile/base/turns.hpp>

#include "fixture.hpp"
#include "tests/support/slice.hpp"

namespace ventile {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class ReactorTest : public NetTest {
protected:
  std::vector<std::string> said;

  std::function<void()> say(std::string word) {
    return [this, word = std::move(word)] { said.push_back(word); };
  }
  void stop_at(TimePoint when) {
    reactor.call_at(when, [this] { reactor.stop(); });
  }
};

TEST_F(ReactorTest, timers_come_in_the_order_of_their_times) {
  const TimePoint now = reactor.now();
  reactor.call_at(now + milliseconds{3}, say("third"));
  reactor.call_at(now + milliseconds{1}, say("first"));
  reactor.call_at(now + milliseconds{2}, say("second"));
  reactor.call_at(now + milliseconds{2}, say("second, asked later"));
  stop_at(now + milliseconds{4});
  reactor.run();
  EXPECT_THAT(said, ElementsAre("first", "second", "second, asked later", "third"));
}

TEST_F(ReactorTest, has_short_turns_while_it_runs) {
  const std::uint64_t usual = slice_of_this_thread();
  std::uint64_t within = 0;
  reactor.post([&] { within = slice_of_this_thread(); });
  reactor.post([&] { reactor.stop(); });
  reactor.run();
  const ShortTurns turns;
  EXPECT_EQ(within, slice_of_this_thread());
  EXPECT_LE(within, usual);
}

// `ventile map` ran its roles in threads and was aborted when the main thread took them apart.
TEST_F(ReactorTest, one_that_has_stopped_may_be_taken_apart_by_another_thread) {
  PullSocket socket{context};
  reactor.add(socket, [] { return Reading::drained; });
  std::thread runner{[&] {
    reactor.stop();
    reactor.run();
  }};
  runner.join();
  reactor.remove(socket);
}

TEST_F(ReactorTest, no_timer_comes_before_its_time) {
  const TimePoint when = reactor.now() + milliseconds{5};
  std::optional<TimePoint> called;
  reactor.call_at(when, [&] {
    called = reactor.now();
    reactor.stop();
  });
  reactor.run();
  ASSERT_TRUE(called);
  EXPECT_GE(*called, when);
}

TEST_F(ReactorTest, a_cancelled_timer_is_not_called_even_in_the_same_turn) {
  const TimePoint now = reactor.now();
  TimerId same_turn;
  const TimerId early = reactor.call_at(now, say("cancelled before"));
  reactor.call_at(now, [&] { reactor.cancel(same_turn); });
  same_turn = reactor.call_at(now, say("cancelled in the same turn"));
  reactor.cancel(early);
  reactor.cancel(early);
  reactor.cancel(TimerId{});
  stop_at(now + milliseconds{1});
  reactor.run();
  EXPECT_THAT(said, ElementsAre());
}

TEST_F(ReactorTest, a_timer_that_sets_itself_again_waits_for_the_next_turn) {
  int turns = 0;
  std::vector<int> called_in;
  reactor.on_turn_end([&] { ++turns; });
  std::function<void()> again = [&] {
    called_in.push_back(turns);
    if (called_in.size() == 3) return reactor.stop();
    reactor.call_at(TimePoint::min(), again);
  };
  reactor.call_at(TimePoint::min(), again);
  reactor.run();
  EXPECT_THAT(called_in, ElementsAre(0, 1, 2));
}

TEST_F(ReactorTest, posts_come_in_order_and_before_the_stop_that_follows_them) {
  reactor.post(say("first"));
  reactor.post([this] {
    said.emplace_back("second");
    reactor.post(say("fourth"));
    reactor.stop();
  });
  reactor.post(say("third"));
  reactor.run();
  EXPECT_THAT(said, ElementsAre("first", "second", "third", "fourth"));
}

TEST_F(ReactorTest, a_stop_before_the_run_lets_it_turn_once) {
  reactor.on_turn_end(say("turn"));
  reactor.stop();
  reactor.run();
  EXPECT_THAT(said, ElementsAre("turn"));
}

// Looking into a socket takes system calls, and another thread waits for what comes of its post.
TEST_F(ReactorTest, what_is_gathered_by_posts_is_sent_before_sockets_are_read) {
  PullSocket pull(context);
  PushSocket push(context);
  ASSERT_TRUE(pull.bind(endpoint("inproc://quiet")));
  ASSERT_TRUE(push.connect(endpoint("inproc://quiet")));
  send(push, "x");
  reactor.add(pull, [&] {
    Frame message;
    if (!pull.receive(message)) return Reading::drained;
    said.emplace_back("message");
    reactor.stop();
    return Reading::more;
  });
  reactor.post(say("posted"));
  reactor.on_turn_end(say("turn"));
  reactor.run();
  ASSERT_GE(said.size(), 4U);
  EXPECT_THAT(std::vector(said.begin(), said.begin() + 4), ElementsAre("posted", "turn", "message", "turn"));
}

// Its descriptor is read only when it falls asleep again.
TEST_F(ReactorTest, a_reactor_that_was_woken_sleeps_again_and_is_woken_again) {
  int called = 0;
  int turns = 0;
  reactor.on_turn_end([&] { ++turns; });
  std::jthread other([&] {
    for (int i = 0; i < 100; ++i) {
      std::promise<void> seen;
      reactor.post([&] {
        ++called;
        seen.set_value();
      });
      seen.get_future().wait();
    }
    reactor.stop();
  });
  reactor.run();
  EXPECT_EQ(called, 100);
  EXPECT_LE(turns, 1000);  // A descriptor that stays readable would have it turn all the time.
}

TEST_F(ReactorTest, runs_again_after_a_stop) {
  for (int i = 0; i < 2; ++i) {
    reactor.stop();
    reactor.run();
    reactor.post(say("again"));
  }
  reactor.stop();
  reactor.run();
  EXPECT_THAT(said, ElementsAre("again", "again"));
}

TEST_F(ReactorTest, every_post_of_every_thread_arrives_in_its_threads_order) {
  constexpr int threads = 4;
  constexpr int posts = 5000;
  std::array<int, threads> next{};
  int done = 0;
  std::vector<std::jthread> posters;
  for (std::size_t thread = 0; thread < threads; ++thread) {
    posters.emplace_back([&, thread] {
      for (int i = 0; i < posts; ++i) {
        reactor.post([&, thread, i] {
          EXPECT_EQ(next[thread]++, i);
          if (i + 1 == posts && ++done == threads) reactor.stop();
        });
      }
    });
  }
  reactor.run();
  EXPECT_EQ(done, threads);
}

TEST_F(ReactorTest, a_sleeping_reactor_is_woken_by_each_answer) {
  Reactor other;
  std::jthread thread([&] { other.run(); });
  int rounds = 0;
  std::function<void()> ping = [&] {
    if (++rounds == 2000) return reactor.stop();
    other.post([&] { reactor.post(ping); });
  };
  reactor.post(ping);
  reactor.run();
  other.stop();
  EXPECT_EQ(rounds, 2000);
}

TEST_F(ReactorTest, a_descriptor_is_watched_until_it_is_unwatched) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ASSERT_EQ(::write(pipe[1], "abc", 3), 3);
  reactor.watch(pipe[0], POLLIN, [&](short happened) {
    EXPECT_EQ(happened, POLLIN);
    char byte = 0;
    ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
    said.emplace_back(1, byte);
    if (byte == 'b') {
      reactor.unwatch(pipe[0]);
      stop_at(reactor.now() + milliseconds{1});
    }
  });
  reactor.run();
  EXPECT_THAT(said, ElementsAre("a", "b"));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(ReactorTest, a_descriptor_that_hangs_up_is_reported) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ::close(pipe[1]);
  reactor.watch(pipe[0], POLLIN, [&](short happened) {
    EXPECT_NE(happened & POLLHUP, 0);
    reactor.unwatch(pipe[0]);
    reactor.stop();
  });
  reactor.run();
  ::close(pipe[0]);
}

TEST_F(ReactorTest, a_busy_socket_does_not_starve_a_descriptor_a_timer_or_a_post) {
  PullSocket pull(context);
  PushSocket push(context, {.send_high_water = 10'000'000});
  ASSERT_TRUE(pull.bind(endpoint("inproc://busy")));
  ASSERT_TRUE(push.connect(endpoint("inproc://busy")));
  const auto refill = [&] {
    Frame message = frame("x");
    EXPECT_EQ(push.send(message), SendOutcome::sent);
  };
  refill();
  reactor.add(pull, [&] {
    refill();  // Never drained.
    Frame message;
    EXPECT_TRUE(pull.receive(message));
    return Reading::more;
  });
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  reactor.watch(pipe[0], POLLIN, [&](short) {
    reactor.unwatch(pipe[0]);
    reactor.call_at(reactor.now() + milliseconds{1}, [&] { reactor.post([&] { reactor.stop(); }); });
  });
  reactor.run();
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(ReactorTest, a_busy_socket_lets_another_have_its_turn) {
  PullSocket busy(context, {.receive_high_water = 2000});
  PullSocket quiet(context);
  PushSocket to_busy(context);
  PushSocket to_quiet(context);
  ASSERT_TRUE(busy.bind(endpoint("inproc://busy")));
  ASSERT_TRUE(quiet.bind(endpoint("inproc://quiet")));
  ASSERT_TRUE(to_busy.connect(endpoint("inproc://busy")));
  ASSERT_TRUE(to_quiet.connect(endpoint("inproc://quiet")));
  for (int i = 0; i < 1000; ++i) send(to_busy, "x");
  send(to_quiet, "y");
  const auto& from_busy = collect(busy);
  const auto& from_quiet = collect(quiet);
  std::size_t seen_after = 0;
  ASSERT_TRUE(turn_until([&] {
    if (seen_after == 0 && !from_quiet.empty()) seen_after = from_busy.size();
    return from_busy.size() == 1000;
  }));
  EXPECT_GT(seen_after, 0U);
  EXPECT_LE(seen_after, static_cast<std::size_t>(Reactor::burst_max));
}

// A sink said that it had a result only when it had read all that had come, however long each took.
TEST_F(ReactorTest, a_socket_of_which_each_message_takes_long_lets_the_turn_end) {
  PullSocket busy(context);
  PushSocket to_busy(context);
  ASSERT_TRUE(busy.bind(endpoint("inproc://busy")));
  ASSERT_TRUE(to_busy.connect(endpoint("inproc://busy")));
  constexpr int all = 9;
  for (int i = 0; i < all; ++i) send(to_busy, "x");
  int read = 0;
  int most = 0;
  int in_turn = 0;
  reactor.add(busy, [&] {
    Frame message;
    if (!busy.receive(message)) return Reading::drained;
    const TimePoint begin = Clock::now();
    while (Clock::now() - begin < Reactor::burst_time) continue;
    ++in_turn;
    if (++read == all) reactor.stop();
    return Reading::more;
  });
  reactor.on_turn_end([&] { most = std::max(most, std::exchange(in_turn, 0)); });
  reactor.run();
  EXPECT_EQ(most, 2);
}

// The descriptor of a libzmq socket is readable once, however many messages wait and however few were read.
TEST_F(ReactorTest, nothing_is_left_behind_by_a_callback_that_reads_one_message_a_turn) {
  PullSocket pull(context);
  PushSocket push(context);
  const Result<Endpoint> bound = pull.bind(endpoint("tcp://127.0.0.1:0"));
  ASSERT_TRUE(bound);
  ASSERT_TRUE(push.connect(*bound));
  for (int i = 0; i < 5; ++i) send(push, "x");
  int received = 0;
  reactor.add(pull, [&] {
    Frame message;
    if (pull.receive(message) && ++received == 5) reactor.stop();
    return Reading::drained;  // Not true, and no harm done.
  });
  reactor.run();
  EXPECT_EQ(received, 5);
}

TEST_F(ReactorTest, sending_at_the_end_of_a_turn_does_not_lose_what_arrives_meanwhile) {
  RouterSocket router(context);
  DealerSocket dealer(context);
  const Result<Endpoint> bound = router.bind(endpoint("tcp://127.0.0.1:0"));
  ASSERT_TRUE(bound);
  ASSERT_TRUE(dealer.connect(*bound));
  echo(router);
  const auto& answers = collect(dealer);
  std::size_t sent = 0;
  reactor.on_turn_end([&] {
    while (sent < 5000 && sent - answers.size() < 100) {
      Frame message = frame("x");
      if (dealer.send(message) != SendOutcome::sent) break;
      ++sent;
    }
    if (answers.size() == 5000) reactor.stop();
  });
  const std::function<void()> start = [&] {  // Until the connection stands there is nothing to wake for.
    if (sent == 0) reactor.call_at(reactor.now() + milliseconds{1}, start);
  };
  start();
  reactor.run();
  EXPECT_EQ(answers.size(), 5000U);
}

TEST_F(ReactorTest, a_wish_to_write_is_granted_once_there_is_room_and_only_while_it_lasts) {
  PullSocket pull(context, {.receive_high_water = 1});
  PushSocket push(context, {.send_high_water = 1});
  ASSERT_TRUE(pull.bind(endpoint("inproc://narrow")));
  ASSERT_TRUE(push.connect(endpoint("inproc://narrow")));
  int sent = 0;
  Frame message;
  const auto fill = [&] {
    for (;; ++sent) {
      if (message.empty()) message = frame("x");
      if (sent == 500 || push.send(message) != SendOutcome::sent) break;
    }
    reactor.want_write(push, sent < 500);
  };
  reactor.add(
      push, [] { return Reading::drained; }, fill);
  reactor.want_write(push, true);
  const auto& pulled = collect(pull);
  ASSERT_TRUE(turn_until([&] { return pulled.size() == 500; }));
  EXPECT_EQ(sent, 500);
}

TEST_F(ReactorTest, a_router_that_wants_to_write_is_asked_again_and_again) {
  RouterSocket router(context, {.send_high_water = 1});
  DealerSocket full(context, {.receive_high_water = 1});
  DealerSocket idle(context);
  ASSERT_TRUE(router.bind(endpoint("inproc://router")));
  ASSERT_TRUE(full.connect(endpoint("inproc://router")));
  ASSERT_TRUE(idle.connect(endpoint("inproc://router")));  // Always has room, which must not make the loop spin.
  send(full, "hello");
  RoutingId peer;
  Frame message;
  ASSERT_TRUE(turn_until([&] { return router.receive(peer, message); }));
  std::size_t sent = 0;
  int calls = 0;
  const auto fill = [&] {
    ++calls;
    for (message = frame("x"); router.send(peer, message) == SendOutcome::sent; message = frame("x")) ++sent;
  };
  fill();
  reactor.add(
      router, [] { return Reading::drained; }, fill);
  reactor.want_write(router, true);
  ASSERT_TRUE(turn_until([&] { return calls >= 3; }));
  const std::size_t stuck = sent;
  const auto& received = collect(full);
  ASSERT_TRUE(turn_until([&] { return received.size() > stuck; }));
  reactor.want_write(router, false);
  ASSERT_TRUE(turn_until([&] { return received.size() == sent; }));
}

// Its owner was once released at the end of the run, where it was no more. Seen by the sanitizers.
TEST_F(ReactorTest, a_socket_may_be_removed_and_destroyed_in_the_last_turn) {
  auto pull = std::make_unique<PullSocket>(context);
  reactor.add(*pull, [] { return Reading::drained; });
  reactor.post([&] {
    reactor.remove(*pull);
    pull.reset();
    reactor.stop();
  });
  reactor.run();
  EXPECT_EQ(pull, nullptr);
}

TEST_F(ReactorTest, a_socket_may_be_removed_and_destroyed_by_its_own_callback) {
  auto pull = std::make_unique<PullSocket>(context);
  PushSocket push(context);
  ASSERT_TRUE(pull->bind(endpoint("inproc://once")));
  ASSERT_TRUE(push.connect(endpoint("inproc://once")));
  send(push, "one");
  send(push, "two");
  reactor.add(*pull, [&] {
    Frame message;
    EXPECT_TRUE(pull->receive(message));
    said.push_back(text(message));
    reactor.remove(*pull);
    pull.reset();
    stop_at(reactor.now() + milliseconds{1});
    return Reading::more;
  });
  reactor.run();
  EXPECT_THAT(said, ElementsAre("one"));
}

// A stage of a pipeline stops pulling while it has no room. What its socket had said in that turn was forgotten with
// the entry that was removed.
TEST_F(ReactorTest, a_socket_that_is_removed_and_added_again_is_still_read) {
  PullSocket pull(context);
  PushSocket push(context);
  const Result<Endpoint> bound = pull.bind(endpoint("tcp://127.0.0.1:0"));
  ASSERT_TRUE(bound);
  ASSERT_TRUE(push.connect(*bound));
  constexpr int messages = 10;
  for (int i = 0; i < messages; ++i) send(push, "x");
  int received = 0;
  const auto read_one = [&] {
    Frame message;
    if (pull.receive(message)) ++received;
    return Reading::drained;  // The next turn has the rest.
  };
  reactor.add(pull, read_one);
  bool odd = false;
  const std::function<void()> again = [&] {
    if (std::exchange(odd, !odd)) {
      reactor.remove(pull);
      reactor.add(pull, read_one);
    }
    if (received < messages) reactor.post(again);
  };
  reactor.post(again);
  EXPECT_TRUE(turn_until([&] { return received == messages; }));
}

TEST_F(ReactorTest, what_another_callback_removed_is_not_called_in_the_same_turn) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  PullSocket first(context);
  auto second = std::make_unique<PullSocket>(context);
  PushSocket to_first(context);
  PushSocket to_second(context);
  ASSERT_TRUE(first.bind(endpoint("inproc://first")));
  ASSERT_TRUE(second->bind(endpoint("inproc://second")));
  ASSERT_TRUE(to_first.connect(endpoint("inproc://first")));
  ASSERT_TRUE(to_second.connect(endpoint("inproc://second")));
  send(to_first, "x");
  send(to_second, "x");
  reactor.add(first, [&] {
    Frame message;
    if (!first.receive(message)) return Reading::drained;
    said.emplace_back("first");
    reactor.remove(*second);
    second.reset();
    reactor.unwatch(pipe[0]);
    stop_at(reactor.now() + milliseconds{1});
    return Reading::more;
  });
  reactor.add(*second, [&] {
    said.emplace_back("second");
    return Reading::drained;
  });
  reactor.watch(pipe[0], POLLIN, [&](short) { said.emplace_back("pipe"); });
  reactor.run();
  EXPECT_THAT(said, ElementsAre("first"));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(ReactorTest, what_a_callback_adds_is_served) {
  PullSocket pull(context);
  PushSocket push(context);
  ASSERT_TRUE(pull.bind(endpoint("inproc://late")));
  ASSERT_TRUE(push.connect(endpoint("inproc://late")));
  send(push, "x");
  reactor.post([&] {
    reactor.add(pull, [&] {
      Frame message;
      EXPECT_TRUE(pull.receive(message));
      reactor.call_at(reactor.now(), [&] { reactor.stop(); });
      return Reading::drained;
    });
  });
  reactor.run();
}

TEST_F(ReactorTest, signals_interrupt_nothing) {
  struct sigaction ignore {};
  ignore.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGUSR1, &ignore, &before), 0);
  RouterSocket router(context);
  DealerSocket dealer(context);
  const Result<Endpoint> bound = router.bind(endpoint("tcp://127.0.0.1:0"));
  ASSERT_TRUE(bound);
  ASSERT_TRUE(dealer.connect(*bound));
  echo(router);
  const auto& answers = collect(dealer);
  const pthread_t this_thread = pthread_self();
  std::jthread disturber([this_thread](const std::stop_token& stop) {
    while (!stop.stop_requested()) pthread_kill(this_thread, SIGUSR1);
  });
  for (std::size_t i = 0; i < 200; ++i) {
    send(dealer, "x");
    ASSERT_TRUE(turn_until([&] { return answers.size() == i + 1; }));
  }
  disturber.request_stop();
  disturber.join();
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(ReactorTest, a_stream_between_two_reactors_arrives_whole) {
  PullSocket pull(context);
  const Result<Endpoint> bound = pull.bind(endpoint("ipc://" + folder.path("stream")));
  ASSERT_TRUE(bound);
  constexpr int count = 20'000;
  std::atomic<bool> arrived = false;
  std::jthread sender([&] {
    Reactor loop;
    PushSocket push(context);
    ASSERT_TRUE(push.connect(*bound));
    int sent = 0;
    loop.add(
        push, [] { return Reading::drained; },
        [&] {
          for (Frame message = frame(std::to_string(sent)); push.send(message) == SendOutcome::sent;) {
            if (++sent == count) {
              loop.want_write(push, false);
              return loop.stop();
            }
            message = frame(std::to_string(sent));
          }
        });
    loop.want_write(push, true);
    loop.run();
    // Closing drops what is queued, so wait until all has arrived.
    arrived.wait(false);
  });
  int received = 0;
  reactor.add(pull, [&] {
    Frame message;
    if (!pull.receive(message)) return Reading::drained;
    EXPECT_EQ(text(message), std::to_string(received));
    if (++received == count) reactor.stop();
    return Reading::more;
  });
  reactor.run();
  EXPECT_EQ(received, count);
  arrived = true;
  arrived.notify_all();
}

}  // namespace
}  // namespace ventile
