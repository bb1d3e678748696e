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
#include <ventile/net/gatekeeper.hpp>

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

// Writes down what it is asked: a look at the list, or to read it anew.
class Diary final : public Admission {
public:
  bool admits(std::string_view public_key) const override {
    const std::lock_guard lock(mutex_);
    entries_ += 'a';
    return public_key == key_ && is_there_;
  }
  void refresh() override {
    const std::lock_guard lock(mutex_);
    entries_ += 'r';
    if (entries_.ends_with("ar")) is_there_ = true;
  }
  void expect(const std::string& key) {
    const std::lock_guard lock(mutex_);
    key_ = key;
  }
  std::string entries() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }

private:
  mutable std::mutex mutex_;
  mutable std::string entries_;
  std::string key_;
  bool is_there_ = false;
};

// Asked as libzmq asks it, and as it does not.
class GatekeeperTest : public testing::Test {
protected:
  ~GatekeeperTest() override {
    zmq_ctx_shutdown(context);
    keeper.reset();
    zmq_ctx_term(context);
  }

  std::vector<std::string> question(const std::string& its_domain,
                                    const std::string& raw = std::string(32, 'k')) const {
    return {"1.0", "7", its_domain, "192.0.2.1", "", "CURVE", raw};
  }
  static std::string key_of(const std::string& raw) {
    std::string text(curve_key_size + 1, '\0');
    zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size());
    text.pop_back();
    return text;
  }
  // Version, id, status, its text, the user and nothing.
  std::vector<std::string> ask(const std::vector<std::string>& parts) const {
    void* const socket = zmq_socket(context, ZMQ_REQ);
    EXPECT_EQ(zmq_connect(socket, "inproc://zeromq.zap.01"), 0);
    for (std::size_t i = 0; i < parts.size(); ++i)
      zmq_send(socket, parts[i].data(), parts[i].size(), i + 1 < parts.size() ? ZMQ_SNDMORE : 0);
    std::vector<std::string> answer;
    for (int more = 1; more != 0;) {
      zmq_msg_t part;
      zmq_msg_init(&part);
      if (zmq_msg_recv(&part, socket, 0) < 0) throw std::runtime_error(zmq_strerror(errno));
      answer.emplace_back(static_cast<const char*>(zmq_msg_data(&part)), zmq_msg_size(&part));
      more = zmq_msg_more(&part);
      zmq_msg_close(&part);
    }
    zmq_close(socket);
    return answer;
  }
  std::size_t lines() const {
    const std::lock_guard lock(mutex);
    return logged;
  }

  void* const context = zmq_ctx_new();
  mutable std::mutex mutex;
  std::size_t logged = 0;
  std::optional<Gatekeeper> keeper{std::in_place, context, Log([this](Level, std::string_view) {
                                     const std::lock_guard lock(mutex);
                                     ++logged;
                                   })};
};

TEST_F(GatekeeperTest, who_is_let_in_has_its_key_for_a_name) {
  const std::string domain = keeper->open(std::make_shared<Everybody>());
  EXPECT_THAT(ask(question(domain)), ElementsAre("1.0", "7", "200", "", key_of(std::string(32, 'k')), ""));
}

// Everybody would be let in who asks as one should.
TEST_F(GatekeeperTest, what_is_no_question_about_a_domain_of_its_own_is_refused) {
  const std::string domain = keeper->open(std::make_shared<Everybody>());
  const auto good = question(domain);
  auto other_version = good;
  other_version[0] = "2.0";
  auto no_domain = good;
  no_domain[2] = "ventile-99";
  auto other_mechanism = good;
  other_mechanism[5] = "PLAIN";
  auto one_more = good;
  one_more.emplace_back();
  auto one_less = good;
  one_less.pop_back();
  std::vector<std::vector<std::string>> wrong{other_version, no_domain, other_mechanism,
                                              one_more,      one_less,  std::vector<std::string>(100, "1.0")};
  for (const std::size_t size : {0, 31, 33, 36, 4000}) wrong.push_back(question(domain, std::string(size, 'k')));
  for (const auto& parts : wrong) {
    const auto answer = ask(parts);
    EXPECT_EQ(answer[2], "400");
    EXPECT_EQ(answer[4], "");
  }
  EXPECT_THAT(ask({"1.0"}), ElementsAre("1.0", "", "400", "no access", "", ""));
  EXPECT_EQ(ask(good)[2], "200") << "it goes on";
}

TEST_F(GatekeeperTest, nobody_comes_in_to_a_domain_that_is_closed_and_its_list_is_let_go) {
  auto everybody = std::make_shared<Everybody>();
  const std::weak_ptr<Everybody> list = everybody;
  const std::string domain = keeper->open(std::move(everybody));
  ASSERT_EQ(ask(question(domain))[2], "200");
  keeper->close(domain);
  EXPECT_EQ(ask(question(domain))[2], "400");
  while (!list.expired()) std::this_thread::yield();  // The thread may have it for the length of a look.
}

// It may have been added this moment, and whoever is refused does not try again.
TEST_F(GatekeeperTest, before_somebody_is_refused_the_list_is_read_anew) {
  const auto diary = std::make_shared<Diary>();
  diary->expect(key_of(std::string(32, 'n')));
  const std::string domain = keeper->open(diary);
  EXPECT_EQ(ask(question(domain, std::string(32, 'n')))[2], "200");
  EXPECT_THAT(diary->entries(), HasSubstr("ara"));
}

TEST_F(GatekeeperTest, many_refusals_do_not_fill_the_log) {
  const std::string domain = keeper->open(std::make_shared<List>());
  for (int i = 0; i < 20; ++i) ask(question(domain));
  EXPECT_GE(lines(), 1U);
  EXPECT_LT(lines(), 20U);
}

TEST_F(GatekeeperTest, a_key_that_is_tried_on_purpose_is_worth_a_line_when_it_is_tried_again) {
  const std::string domain = keeper->open(std::make_shared<List>());
  keeper->expect(key_of(std::string(32, 'k')));
  EXPECT_EQ(ask(question(domain))[2], "400");
  EXPECT_EQ(lines(), 0U);
  EXPECT_EQ(ask(question(domain))[2], "400");
  EXPECT_EQ(lines(), 1U);
}

TEST_F(GatekeeperTest, there_is_no_second_one_in_a_context) {
  EXPECT_THROW((Gatekeeper{context, Log{}}), std::runtime_error);
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
