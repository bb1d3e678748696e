// Sockets with keys: who comes in, what the receiver knows of a sender, and that nobody serves with an open door.
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zmq.h>

#include <ventile/net/curve.hpp>

#include "fixture.hpp"

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Kind = ConnectionEvent::Kind;

// Lets in whose key is on a list that can change at any time.
class List final : public Admission {
public:
  bool admits(std::string_view public_key) const override {
    const std::lock_guard lock(mutex_);
    return keys_.contains(public_key);
  }
  void refresh() override {
    const std::lock_guard lock(mutex_);
    ++refreshed_;
  }
  void add(const std::string& public_key) {
    const std::lock_guard lock(mutex_);
    keys_.insert(public_key);
  }
  void remove(const std::string& public_key) {
    const std::lock_guard lock(mutex_);
    keys_.erase(public_key);
  }
  int refreshed() const {
    const std::lock_guard lock(mutex_);
    return refreshed_;
  }

private:
  mutable std::mutex mutex_;
  std::set<std::string, std::less<>> keys_;
  int refreshed_ = 0;
};

class Everybody final : public Admission {
public:
  bool admits(std::string_view) const override { return true; }
};

class CurveTest : public NetTest {
protected:
  ConnectionOptions serving() const { return {.curve = {server, {}, list}}; }
  ConnectionOptions meeting(const std::shared_ptr<const KeyPair>& own) const {
    return {.curve = {own, server->public_key(), nullptr}};
  }

  static Endpoint listen(Socket& socket, std::string_view address = "tcp://127.0.0.1:0") {
    const Result<Endpoint> bound = socket.bind(endpoint(address));
    if (!bound) throw std::runtime_error(bound.error().message);
    return *bound;
  }

  // Whether a peer with these options gets its message answered, or is refused.
  bool is_let_in(const Endpoint& address, const ConnectionOptions& connection) {
    DealerSocket dealer(context, {.connection = connection});
    Monitor monitor(context, dealer);
    const auto& events = collect_events(monitor);
    const auto& answers = collect(dealer);
    EXPECT_TRUE(dealer.connect(address));
    Frame question = frame("hello");
    const auto ended = [&](const auto& event) {
      return event.kind == Kind::handshake_failed || event.kind == Kind::disconnected;
    };
    EXPECT_TRUE(turn_until([&] {
      if (!question.empty() && dealer.send(question) != SendOutcome::sent && question.empty()) return true;
      return !answers.empty() || std::any_of(events.begin(), events.end(), ended);
    }));
    const bool answered = !answers.empty();
    reactor.remove(dealer);
    reactor.remove(monitor);
    return answered;
  }

  std::shared_ptr<const KeyPair> server = KeyPair::make();
  std::shared_ptr<const KeyPair> known = KeyPair::make();
  std::shared_ptr<List> list = [this] {
    auto made = std::make_shared<List>();
    made->add(known->public_key());
    return made;
  }();
};

TEST_F(CurveTest, who_is_on_the_list_comes_in_and_strangers_do_not) {
  RouterSocket router(context, {.connection = serving()});
  const Endpoint address = listen(router);
  echo(router);
  EXPECT_TRUE(is_let_in(address, meeting(known)));
  EXPECT_FALSE(is_let_in(address, meeting(KeyPair::make())));
  EXPECT_FALSE(is_let_in(address, {})) << "without any keys";
}

TEST_F(CurveTest, an_ipc_address_is_guarded_as_well) {
  RouterSocket router(context, {.connection = serving()});
  const Endpoint address = listen(router, "ipc://" + folder.path("socket"));
  echo(router);
  EXPECT_TRUE(is_let_in(address, meeting(known)));
  EXPECT_FALSE(is_let_in(address, meeting(KeyPair::make())));
}

TEST_F(CurveTest, who_is_taken_off_the_list_does_not_come_in_again) {
  RouterSocket router(context, {.connection = serving()});
  const Endpoint address = listen(router);
  echo(router);
  EXPECT_TRUE(is_let_in(address, meeting(known)));
  list->remove(known->public_key());
  EXPECT_FALSE(is_let_in(address, meeting(known)));
}

// Whoever pins another key than the server's talks to nobody.
TEST_F(CurveTest, a_server_with_another_key_than_expected_is_not_talked_to) {
  RouterSocket router(context, {.connection = serving()});
  const Endpoint address = listen(router);
  echo(router);
  EXPECT_FALSE(is_let_in(address, {.curve = {known, KeyPair::make()->public_key(), nullptr}}));
}

TEST_F(CurveTest, every_message_names_the_key_of_its_sender) {
  const auto other = KeyPair::make();
  list->add(other->public_key());
  PullSocket pull(context, {.connection = serving()});
  const Endpoint address = listen(pull);
  std::vector<std::pair<std::string, std::string>> got;
  reactor.add(pull, [&] {
    Frame received;
    if (!pull.receive(received)) return Reading::drained;
    got.emplace_back(text(received), received.user_id());
    return Reading::more;
  });
  PushSocket first(context, {.connection = meeting(known)});
  PushSocket second(context, {.connection = meeting(other)});
  ASSERT_TRUE(first.connect(address));
  ASSERT_TRUE(second.connect(address));
  for (auto* push : {&first, &second}) reactor.add(*push, {}, {});
  send(first, "one");
  ASSERT_TRUE(turn_until([&] { return got.size() == 1; }));
  send(second, "two");
  ASSERT_TRUE(turn_until([&] { return got.size() == 2; }));
  send(first, "three");
  ASSERT_TRUE(turn_until([&] { return got.size() == 3; }));
  EXPECT_THAT(got, ElementsAre(std::pair("one", known->public_key()), std::pair("two", other->public_key()),
                               std::pair("three", known->public_key())));
}

TEST_F(CurveTest, a_router_knows_the_key_of_a_message_too) {
  RouterSocket router(context, {.connection = serving()});
  const Endpoint address = listen(router);
  std::string key;
  reactor.add(router, [&] {
    RoutingId peer;
    Frame received;
    if (!router.receive(peer, received)) return Reading::drained;
    key = received.user_id();
    return Reading::more;
  });
  DealerSocket dealer(context, {.connection = meeting(known)});
  ASSERT_TRUE(dealer.connect(address));
  reactor.add(dealer, [] { return Reading::drained; });
  send(dealer, "who am I?");
  EXPECT_TRUE(turn_until([&] { return !key.empty(); }));
  EXPECT_EQ(key, known->public_key());
}

TEST_F(CurveTest, who_has_no_keys_sends_without_a_name) {
  PullSocket pull(context);
  const Endpoint address = listen(pull);
  std::optional<std::string> key;
  reactor.add(pull, [&] {
    Frame received;
    if (!pull.receive(received)) return Reading::drained;
    key = received.user_id();
    return Reading::more;
  });
  PushSocket push(context);
  ASSERT_TRUE(push.connect(address));
  send(push, "hello");
  EXPECT_TRUE(turn_until([&] { return key.has_value(); }));
  EXPECT_EQ(key, "");
}

TEST_F(CurveTest, a_socket_that_lets_a_stranger_in_is_not_served) {
  RouterSocket router(context, {.connection = {.curve = {server, {}, std::make_shared<Everybody>()}}});
  const Result<Endpoint> bound = router.bind(endpoint("tcp://127.0.0.1:0"));
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, Code::failed);
  EXPECT_THAT(bound.error().message, HasSubstr("a stranger"));
}

// The trial once left libzmq's I/O thread waiting for somebody to listen, now and then.
TEST_F(CurveTest, after_the_trial_others_are_served_however_often_one_binds) {
  for (int i = 0; i < 100; ++i) {
    RouterSocket router(context, {.connection = serving()});
    const Endpoint address = listen(router);
    echo(router);
    ASSERT_TRUE(is_let_in(address, meeting(known))) << i;
    reactor.remove(router);
  }
}

TEST_F(CurveTest, nothing_is_bound_without_a_list_nor_connected_without_the_other_key) {
  RouterSocket router(context, {.connection = {.curve = {server, {}, nullptr}}});
  EXPECT_FALSE(router.bind(endpoint("tcp://127.0.0.1:0")));
  DealerSocket dealer(context, {.connection = {.curve = {known, {}, nullptr}}});
  const Status connected = dealer.connect(endpoint("tcp://127.0.0.1:5570"));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, Code::invalid);
}

TEST_F(CurveTest, within_a_process_no_keys_are_asked_for) {
  RouterSocket router(context, {.connection = serving()});
  const Endpoint address = listen(router, "inproc://inside");
  echo(router);
  EXPECT_TRUE(is_let_in(address, meeting(KeyPair::make())));
}

TEST_F(CurveTest, the_list_is_looked_at_again_and_again) {
  RouterSocket router(context, {.connection = serving()});
  listen(router);
  EXPECT_TRUE(turn_until([&] { return list->refreshed() > 2; }));
}

TEST_F(CurveTest, refusals_are_logged_by_public_key_and_the_own_trial_is_not) {
  std::mutex mutex;
  std::vector<std::string> lines;
  Context logging({}, Log([&](Level, std::string_view line) {
                    const std::lock_guard lock(mutex);
                    lines.emplace_back(line);
                  }));
  RouterSocket router(logging, {.connection = serving()});
  const Endpoint address = listen(router);
  {
    const std::lock_guard lock(mutex);
    EXPECT_THAT(lines, ElementsAre());
  }
  const auto stranger = KeyPair::make();
  EXPECT_FALSE(is_let_in(address, meeting(stranger)));
  const std::lock_guard lock(mutex);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines.front(), HasSubstr(stranger->public_key()));
  EXPECT_THAT(lines.front(), Not(HasSubstr(std::string(stranger->secret_key()))));
}

// libzmq by itself lets everybody in when nobody answers its questions.
TEST_F(CurveTest, without_a_gatekeeper_nobody_comes_in) {
  void* const raw = zmq_ctx_new();
  void* const router = zmq_socket(raw, ZMQ_ROUTER);
  const int on = 1;
  const int enforce_domain = 93;
  zmq_setsockopt(router, ZMQ_CURVE_SERVER, &on, sizeof on);
  zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, server->secret_key().data(), curve_key_size);
  zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, "any", 3);
  ASSERT_EQ(zmq_setsockopt(router, enforce_domain, &on, sizeof on), 0);
  ASSERT_EQ(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
  char bound[256] = {};
  std::size_t size = sizeof bound;
  zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, bound, &size);
  EXPECT_FALSE(is_let_in(endpoint(bound), meeting(known)));
  zmq_close(router);
  zmq_ctx_term(raw);
}

TEST(KeyPair, the_public_key_follows_from_the_secret) {
  const auto pair = KeyPair::make();
  EXPECT_TRUE(is_curve_key(pair->public_key()));
  const auto again = KeyPair::of_secret(pair->secret_key());
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->public_key(), pair->public_key());
  EXPECT_NE(KeyPair::make()->public_key(), pair->public_key());
}

TEST(KeyPair, what_is_no_secret_is_refused_without_repeating_it) {
  const std::string secret(KeyPair::make()->secret_key());
  for (const std::string& wrong :
       {secret.substr(1), secret + "0", std::string(40, '\x7f'), std::string(40, '\0'), std::string{}}) {
    const auto pair = KeyPair::of_secret(wrong);
    ASSERT_FALSE(pair);
    EXPECT_TRUE(wrong.empty() || pair.error().message.find(wrong) == std::string::npos) << pair.error().message;
  }
}

class Broken final : public Admission {
public:
  bool admits(std::string_view) const override { throw std::runtime_error("the list is broken"); }
};

// libzmq would let everybody in once its handler is gone.
TEST(GatekeeperDeathTest, an_exception_in_it_ends_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto serve = [] {
    Context context;
    RouterSocket router(context, {.connection = {.curve = {KeyPair::make(), {}, std::make_shared<Broken>()}}});
    (void)router.bind(endpoint("tcp://127.0.0.1:0"));  // A stranger knocks before it serves.
  };
  EXPECT_DEATH(serve(), "the list is broken");
}

TEST(SecretMemory, is_all_zeroes_at_first_and_may_be_written) {
  SecretMemory memory(5000);
  EXPECT_EQ(memory.bytes().size(), 5000U);
  for (const char c : memory.bytes()) ASSERT_EQ(c, 0);
  memory.bytes().back() = 'x';
  EXPECT_EQ(std::as_const(memory).bytes()[4999], 'x');
}

}  // namespace
}  // namespace ventile
