// A fabric with keys: who takes part, who does not, and when that ends. PITFALLS of ZeroMQ's own security are below, in
// core/net/curve_test.cpp; here are the programs as a user starts them, and strangers at their ports.
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <tests/system/fabric.hpp>
#include <ventile/keys/key_files.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;
using testing::Not;

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

Hello hello_as(Role role) {
  Hello hello;
  hello.role = role;
  assign_random(hello.node);
  hello.name = "intruder";
  hello.slots = role == Role::worker ? 1 : 0;
  hello.greeting = 1;
  return hello;
}

TEST_F(KeysSystemTest, a_job_over_tcp_runs_with_keys) {
  Process& ventilator = ventilate({"--range", "0:1000", "--function", "index"});
  Process& sink = collect();
  work();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
}

TEST_F(KeysSystemTest, with_keys_every_interface_may_be_served_without_a_warning) {
  address_ = "tcp://0.0.0.0:0";
  Process& ventilator = ventilate({"--range", "0:100", "--function", "index"});
  EXPECT_THAT(ventilator.errors(), Not(HasSubstr("insecure")));
  address_ = "tcp://127.0.0.1" + address_.substr(address_.rfind(':'));
  collect();
  work();
  EXPECT_EQ(exact_summary(ventilator).done, 100U);
}

TEST_F(KeysSystemTest, a_stranger_gets_nothing_from_a_dispatcher_or_a_sink_and_the_job_goes_on) {
  Process& ventilator = ventilate({"--range", "0:1000", "--function", "index"});
  Process& sink = collect();
  const std::string results = results_address(sink);
  const std::string dispatcher_key = Keys::open(keys(), {KeyRole::worker})->to_meet(KeyRole::dispatcher).server_key;
  const std::string sink_key = Keys::open(keys(), {KeyRole::worker})->to_meet(KeyRole::sink).server_key;
  EXPECT_FALSE((Intruder<DealerSocket>{address_, {}}.is_let_in())) << "without keys";
  EXPECT_FALSE((Intruder<DealerSocket>{address_, {KeyPair::make(), dispatcher_key, nullptr}}.is_let_in()));
  EXPECT_FALSE((Intruder<PushSocket>{results, {}}.is_let_in())) << "without keys";
  EXPECT_FALSE((Intruder<PushSocket>{results, {KeyPair::make(), sink_key, nullptr}}.is_let_in()));
  EXPECT_NE(ventilator.line_with("is not on the list"), "");
  work();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
}

// Whoever copies keys/worker to a host gives it this and no more.
TEST_F(KeysSystemTest, a_workers_folder_cannot_submit_sink_or_administer) {
  broker();
  const Curve stolen = Keys::open(keys("worker"), {KeyRole::worker})->to_meet(KeyRole::dispatcher);
  for (const Role role : {Role::client, Role::sink}) {
    Intruder<DealerSocket> intruder{address_, stolen};
    const Message answer = intruder.answer_to(hello_as(role));
    ASSERT_TRUE(std::holds_alternative<Refused>(answer)) << name_of(answer);
    EXPECT_EQ(std::get<Refused>(answer).reason, Refusal::unauthorized);
  }
  for (const Message& message : {Message{Submit{}}, Message{Drain{"all"}}, Message{Stored{}}, Message{Inquire{}}}) {
    Intruder<DealerSocket> intruder{address_, stolen};
    EXPECT_TRUE(std::holds_alternative<Welcome>(intruder.answer_to(hello_as(Role::worker))));
    const Message answer = intruder.answer_to(message);
    ASSERT_TRUE(std::holds_alternative<Refused>(answer)) << name_of(message) << ": " << name_of(answer);
    EXPECT_EQ(std::get<Refused>(answer).reason, Refusal::unauthorized);
  }
  for (const char* const program : {"ventile-sink", "ventile-ventilator", "ventile-broker"}) {
    Process& process = start(program, {"--keys", keys("worker")});
    EXPECT_EQ(process.wait(), 2);
    EXPECT_THAT(process.errors(), HasSubstr("the key of a worker"));
  }
}

TEST_F(KeysSystemTest, results_are_taken_from_workers_only) {
  ventilate({"--range", "0:1", "--function", "index"});
  const std::string results = results_address(collect());
  const Curve worker = Keys::open(keys(), {KeyRole::worker})->to_meet(KeyRole::sink);
  for (const KeyRole role : {KeyRole::client, KeyRole::admin, KeyRole::sink}) {
    const Keys other = *Keys::open(keys(), {role});
    const Curve curve{other.to_meet(KeyRole::dispatcher).own, worker.server_key, nullptr};
    EXPECT_FALSE((Intruder<PushSocket>{results, curve}.is_let_in())) << to_string(role);
  }
  EXPECT_TRUE((Intruder<PushSocket>{results, worker}.is_let_in()));
}

TEST_F(KeysSystemTest, a_client_cannot_drain_and_an_admin_can) {
  broker();
  Process& worker = work();
  // Its name, as the broker knows it.
  std::string name;
  while (name.empty()) {
    Process& status = ask("status", "admin");
    EXPECT_EQ(status.wait(), 0) << status.errors();
    std::smatch found;
    const std::string text = status.output();
    if (std::regex_search(text, found, std::regex{"worker ([^ ]+):"})) name = found[1];
  }
  Process& client = ask("drain", "client", {name});
  EXPECT_EQ(client.wait(), 4);
  EXPECT_THAT(client.errors(), HasSubstr("its key is that of a client, which may not say DRAIN"));
  EXPECT_TRUE(worker.running());
  EXPECT_EQ(ask("drain", "admin", {name}).wait(), 0);
  EXPECT_EQ(worker.wait(), 0);
}

TEST_F(KeysSystemTest, a_map_on_a_brokers_workers_takes_the_clients_key) {
  broker();
  work();
  const Arguments map{"map", "--connect", address_, "--range", "0:10", "--function", "index", "--fold", "sum"};
  Arguments with = map;
  with.insert(with.end(), {"--keys", keys()});
  Process& known = start("ventile", with);
  EXPECT_EQ(known.wait(), 0) << known.errors();
  EXPECT_EQ(known.output(), "{\"fold\":45,\"tasks\":10}\n");
  Process& stranger = start("ventile", map);
  EXPECT_EQ(stranger.wait(), 4);
  EXPECT_THAT(stranger.errors(), HasSubstr("it asks for keys, and we have none"));
}

TEST_F(KeysSystemTest, up_gives_its_workers_theirs) {
  Process& up = start("ventile", {"up", "--bind", "tcp://127.0.0.1:0", "-w", "1", "--keys", keys()});
  up.output_lines(1);
  address_ = up.output().substr(0, up.output().find('\n'));
  Process& map = start("ventile", {"map", "--connect", address_, "--range", "0:10", "--function", "index", "--fold",
                                   "sum", "--keys", keys()});
  EXPECT_EQ(map.wait(), 0) << map.errors();
}

TEST_F(KeysSystemTest, who_is_shut_out_ends_and_says_why) {
  Process& ventilator = ventilate({"--range", "0:1", "--function", "index"});
  Process& without = start_worker();
  EXPECT_EQ(without.wait(), 4);
  EXPECT_THAT(without.errors(), HasSubstr("it asks for keys, and we have none"));
  ASSERT_EQ(start("ventile", {"keys", "revoke", "worker", "--keys", keys()}).wait(), 0);
  ventilator.line_with("again: 4 may come in");
  Process& revoked = work();
  EXPECT_EQ(revoked.wait(), 4);
  EXPECT_THAT(revoked.errors(), HasSubstr("its list has not the key that we have"));
}

TEST_F(KeysSystemTest, who_has_keys_talks_to_nobody_who_has_none) {
  start_ventilator({"--range", "0:1", "--function", "index"});
  Process& worker = work();
  EXPECT_EQ(worker.wait(), 4);
  EXPECT_THAT(worker.errors(), HasSubstr("or it has no keys at all"));
}

TEST_F(KeysSystemTest, who_is_revoked_in_the_middle_of_a_job_has_no_part_in_it_any_more) {
  Gate gate{path("gate")};
  gate.mark(5);
  Process& ventilator =
      ventilate({"--range", "0:1000", "--function", "hold", "--args", gate.arguments(), "--no-speculate"});
  Process& sink = collect();
  ASSERT_EQ(start("ventile", {"keygen", "--out", keys(), "--add", "worker", "--name", "gpu-3"}).wait(), 0);
  Process& revoked = work("worker-gpu-3");
  EXPECT_EQ(gate.next().worker, revoked.pid());
  ASSERT_EQ(start("ventile", {"keys", "revoke", "gpu-3", "--keys", keys()}).wait(), 0);
  ventilator.line_with("was revoked");
  gate.open(5);
  sink.line_with("refused bytes on the results socket: the key of their sender is not on the list any more");
  work();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
  EXPECT_TRUE(revoked.running()) << "nobody has spoken to it";
}

TEST_F(KeysSystemTest, who_is_added_is_let_in_without_a_restart) {
  Process& ventilator = ventilate({"--range", "0:100", "--function", "index"});
  collect();
  ASSERT_EQ(start("ventile", {"keygen", "--out", keys(), "--add", "worker", "--name", "gpu-3"}).wait(), 0);
  work("worker-gpu-3");
  EXPECT_EQ(exact_summary(ventilator).done, 100U);
}

TEST_F(KeysSystemTest, a_hangup_lets_those_who_serve_read_the_keys_again) {
  for (Process* const process : {&broker(), &collect()}) {
    if (process->name().find("broker") == std::string::npos) results_address(*process);
    process->signal(SIGHUP);
    EXPECT_NE(process->line_with("read the keys again"), "");
  }
}

TEST_F(KeysSystemTest, health_is_told_to_who_has_the_key_for_it) {
  Process& process = broker();
  for (const char* const as : {"", "admin", "client", "dispatcher"}) EXPECT_EQ(ask("health", as).wait(), 0) << as;
  EXPECT_EQ(ask("health", "worker").wait(), 2) << "it is no key to ask with";
  Process& without = start("ventile", {"health", "--connect", address_});
  EXPECT_EQ(without.wait(), 4);
  EXPECT_TRUE(process.running());
}

TEST_F(KeysSystemTest, no_secret_is_in_arguments_environments_or_logs) {
  Process& ventilator = ventilate({"--range", "0:1000", "--function", "index", "--verbose"});
  Process& sink = start_sink({"--output", path("results"), "--format", "raw", "--keys", keys(), "--verbose"});
  Process& worker = start_worker({"--keys", keys(), "--verbose"});
  worker.line_with("working for");
  sink.line_with("results come in");
  std::string seen;
  for (const Process* const process : {&ventilator, &sink, &worker})
    for (const char* const file : {"cmdline", "environ"})
      seen += read_file("/proc/" + std::to_string(process->pid()) + "/" + file);
  EXPECT_THAT(seen, HasSubstr("ventile-worker"));
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  for (Process* const process : {&ventilator, &sink, &worker}) seen += process->errors() + process->output();
  for (const char* const role : {"dispatcher", "sink", "worker", "client", "admin"})
    EXPECT_THAT(seen, Not(HasSubstr(std::string{read_key(keys(role))->pair->secret_key()}))) << role;
}

TEST_F(KeysSystemTest, keys_are_listed_with_what_became_of_them) {
  ASSERT_EQ(start("ventile", {"keygen", "--out", keys(), "--add", "client", "--name", "anna"}).wait(), 0);
  ASSERT_EQ(start("ventile", {"keys", "revoke", "--keys", keys(), "worker"}).wait(), 0);
  Process& list = start("ventile", {"keys", "list", "--keys", keys()});
  EXPECT_EQ(list.wait(), 0);
  EXPECT_TRUE(std::regex_search(list.output(), std::regex{"client +anna +\\S{40}\n"})) << list.output();
  EXPECT_TRUE(std::regex_search(list.output(), std::regex{"worker +worker +\\S{40}  revoked\n"})) << list.output();
  EXPECT_EQ(start("ventile", {"keys", "reload", "--keys", keys()}).wait(), 0);
}

TEST_F(KeysSystemTest, keygen_if_missing_may_run_again) {
  const auto dispatcher = [&] { return read_key(keys("dispatcher"))->pair->public_key(); };
  const std::string before = dispatcher();
  EXPECT_EQ(start("ventile", {"keygen", "--if-missing", "--out", keys()}).wait(), 0);
  EXPECT_EQ(dispatcher(), before);
  EXPECT_EQ(start("ventile", {"keygen", "--if-missing", "--out", path("others")}).wait(), 0);
  EXPECT_TRUE(read_key(path("others") + "/dispatcher"));
}

TEST_F(KeysSystemTest, what_keygen_and_keys_cannot_do_they_say) {
  const auto refused = [this](const Arguments& arguments, const std::string& what) {
    Process& process = start("ventile", arguments);
    EXPECT_EQ(process.wait(), 2);
    EXPECT_THAT(process.errors(), HasSubstr(what));
  };
  refused({"keygen", "--out", keys()}, "already");
  refused({"keygen", "--out", keys(), "--add", "king", "--name", "x"}, "expected worker, client or admin");
  refused({"keygen", "--out", keys(), "--add", "worker"}, "needs a name");
  refused({"keygen", "--frobnicate", "x"}, "--frobnicate");
  refused({"keys", "revoke", "nobody", "--keys", keys()}, "nobody");
  refused({"keys", "list", "--keys", path("nothing")}, "nothing");
  refused({"keys"}, "expected list, revoke NAME or reload");
  refused({"worker", "--keys", path("nothing")}, "nothing");
}

}  // namespace
}  // namespace ventile
