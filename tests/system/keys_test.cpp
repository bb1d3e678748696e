// A fabric with keys: who takes part, who does not, and when that ends. PITFALLS of ZeroMQ's own security are below, in
// core/net/curve_test.cpp; here are the programs as a user starts them, and strangers at their ports.
#include <chrono>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include <tests/core/net/stranger.hpp>
#include <tests/system/keys_fixture.hpp>
#include <ventile/keys/key_files.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;
using testing::Not;

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
  EXPECT_NE(sink.line_with("1 may come in"), "") << "each reads its list by itself";
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

// The door of everybody who binds: as many may wait there as its owner says, and then the oldest goes.
TEST_F(KeysSystemTest, a_ventilator_has_no_more_slots_of_one_key_than_it_is_told) {
  Process& ventilator = ventilate({"--range", "0:10", "--function", "index", "--key-slots-max", "1"});
  work();
  ventilator.line_with("is here with 1 slot");
  EXPECT_NE(work().line_with("they may have 1"), "");
  collect();
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 10U);
  EXPECT_GT(summary.refusals.at("over_limit"), 0U);
}

TEST_F(KeysSystemTest, strangers_wait_at_a_door_as_its_owner_says) {
  const auto wait_until_closed = [](RawConnection& one) {
    const auto give_up = std::chrono::steady_clock::now() + guard;
    while (!one.is_closed() && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
    EXPECT_TRUE(one.is_closed());
  };
  const auto expect_two_to_wait_at = [&](const std::string& address) {
    SCOPED_TRACE(address);
    const Endpoint door = *Endpoint::parse(address);
    bool two_wait = false;
    for (int attempt = 0; attempt < 10 && !two_wait; ++attempt) {  // Sometimes somebody else knocks in between.
      RawConnection first{door};
      RawConnection second{door};
      RawConnection third{door};
      wait_until_closed(first);
      two_wait = !second.is_closed() && !third.is_closed();
    }
    EXPECT_TRUE(two_wait);
  };
  ventilate({"--range", "0:1", "--function", "index", "--strangers-max", "2"});
  expect_two_to_wait_at(address_);
  // Not at the results' usual port: workers of other tests, whose sinks are gone, still knock there.
  Process& sink = start_sink({"--output", path("results"), "--keys", keys(), "--strangers-max", "2",  //
                              "--bind", "tcp://127.0.0.1:0"});
  expect_two_to_wait_at(results_address(sink));
  Process& serving = start("ventile-broker", {"--bind", "tcp://127.0.0.1:0", "--keys", keys(), "--strangers-max", "2"});
  const std::string line = serving.line_with("serving clients and workers on ");
  expect_two_to_wait_at(line.substr(line.rfind(' ') + 1));
  Process& run = start("ventile", {"run", "--bind", "tcp://127.0.0.1:0", "--remote-only", "--keys", keys(),
                                   "--strangers-max", "2", "true", ":::", "1"});
  const std::string help = run.line_with("--connect ");
  const std::size_t at = help.find("tcp://");
  ASSERT_NE(at, std::string::npos) << help;
  expect_two_to_wait_at(help.substr(at, help.find(' ', at) - at));
}

}  // namespace
}  // namespace ventile
