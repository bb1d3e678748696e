// The dispatcher's end with keys: who is heard, by what right, and until when.
#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_files.hpp>
#include <ventile/keys/key_tree.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/queue/exchange.hpp>
#include <ventile/queue/sealed.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class GuestsTest : public testing::Test {
protected:
  GuestsTest() {
    EXPECT_TRUE(make_key_tree(root));
    keys = *Keys::open(root, {KeyRole::dispatcher});
    exchange.emplace(context, reactor, incarnation, frame_bytes_max, handlers(), keys);
    address = *exchange->bind(*Endpoint::parse("tcp://127.0.0.1:0"));
  }

  ExchangeHandlers handlers() {
    ExchangeHandlers all;
    all.on_message = [this](PeerId peer, const Received& received) {
      heard.push_back(name_of(received.message));
      last = peer;
    };
    all.on_malformed = [this](PeerId, const Error& error, auto) { heard.push_back(error.message); };
    all.on_part = [this](PeerId) { ++parts; };
    all.on_unreachable = [this](PeerId peer) { unreachable.push_back(peer); };
    all.on_connection_lost = [this](PeerId peer) { lost.push_back(peer); };
    all.on_unauthorized = [this](PeerId, RefusedFor reason, const std::string& why) {
      objections.push_back(why);
      refusals.count(reason);
    };
    all.on_revoked = [this](PeerId peer) { revoked.push_back(peer); };
    all.on_stranger = [this] { ++strangers; };
    all.divert = [this](PeerId, Frame& frame) {
      if (!results_job(frame.bytes())) return false;
      ++diverted;
      return true;
    };
    return all;
  }

  // A peer with the key in that folder.
  struct Peer {
    Peer(GuestsTest& test, const Keys& own)
        : reactor(test.reactor), socket(test.context, {.connection = {.curve = own.to_meet(KeyRole::dispatcher)}}) {
      EXPECT_TRUE(socket.connect(test.address));
      reactor.add(socket, [this] {
        Frame frame;
        if (!socket.receive(frame)) return Reading::drained;
        ++answers;
        largest = std::max(largest, frame.size());
        if (const Result<Received> received = decode(frame.bytes())) got.insert(name_of(received->message));
        last = std::move(frame);
        return Reading::more;
      });
    }
    ~Peer() { reactor.remove(socket); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    Reactor& reactor;
    DealerSocket socket;
    int answers = 0;
    std::set<std::string> got;
    std::size_t largest = 0;
    Frame last;
  };
  Keys keys_of(const std::string& name) const {
    return *Keys::open(root + "/" + name, {KeyRole::worker, KeyRole::sink, KeyRole::client, KeyRole::admin});
  }

  void say(Peer& peer, const Message& message, JobId job = assigned<JobId>()) {
    const Envelope envelope{job, assigned<IncarnationId>(), {}, 1};
    PayloadWriter payloads{frame_header_size};
    if (const auto* results = std::get_if<Results>(&message))
      for (std::uint64_t i = 0; i < results->range.count; ++i) payloads.append(Bytes{});
    Frame frame{encode(envelope, message, std::move(payloads))};
    ASSERT_TRUE(turn_until([&] { return peer.socket.send(frame) == SendOutcome::sent; }));
  }
  // The same in pieces of so many bytes, the first `skipped` of which are lost.
  void say_in_parts(Peer& peer, const Message& message, std::size_t piece, std::size_t skipped = 0) {
    const Envelope envelope{assigned<JobId>(), assigned<IncarnationId>(), {}, 1};
    const Buffer whole = encode(envelope, message);
    for (std::size_t offset = skipped * piece; offset < whole.size(); offset += piece) {
      PayloadWriter payload{frame_header_size};
      payload.append(Bytes{whole.data() + offset, std::min(piece, whole.size() - offset)});
      Frame frame{encode(envelope, Part{1, offset, whole.size(), {}}, std::move(payload))};
      ASSERT_TRUE(turn_until([&] { return peer.socket.send(frame) == SendOutcome::sent; }));
    }
  }
  // A result of all that was leased to the worker with the key in that folder.
  Results sealed(JobId job, const std::string& name, Range range) const {
    const std::string key = read_key(root + "/" + name)->pair->public_key();
    Results results;
    results.lease = {{3}, 4};
    results.range = range;
    results.seal = {range, keys.seal({job, results.lease, range, key})};
    return results;
  }
  template <class IdType>
  static IdType assigned() {
    IdType id;
    assign_random(id);
    return id;
  }

  bool turn_until(const std::function<bool()>& done) {
    bool is_done = false;
    const TimerId give_up = reactor.call_at(reactor.now() + std::chrono::seconds{60}, [this] { reactor.stop(); });
    TimerId tick;
    const std::function<void()> set_tick = [&] {
      tick = reactor.call_at(reactor.now() + std::chrono::milliseconds{1}, set_tick);
    };
    set_tick();
    reactor.on_turn_end([&] {
      is_done = is_done || done();
      if (is_done) reactor.stop();
    });
    reactor.run();
    reactor.on_turn_end({});
    reactor.cancel(tick);
    reactor.cancel(give_up);
    return is_done;
  }

  static constexpr std::size_t frame_bytes_max = std::size_t{1} << 20;
  TemporaryFolder folder;
  std::string root = folder.path("keys");
  Keys keys;
  Context context;
  Reactor reactor;
  IncarnationId incarnation = assigned<IncarnationId>();
  std::optional<Exchange> exchange;
  Endpoint address;
  std::vector<std::string> heard;
  std::vector<std::string> objections;
  RefusalCounts refusals;
  std::vector<PeerId> revoked;
  std::vector<PeerId> lost;
  std::vector<PeerId> unreachable;
  int strangers = 0;
  int diverted = 0;
  int parts = 0;
  PeerId last;
};

TEST_F(GuestsTest, who_has_the_right_is_heard) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  EXPECT_TRUE(turn_until([&] { return heard.size() == 1; }));
  EXPECT_THAT(heard, ElementsAre("PROGRESS"));
  EXPECT_THAT(objections, IsEmpty());
}

TEST_F(GuestsTest, who_has_not_the_right_is_not_heard_whatever_it_claims_to_be) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Drain{"somebody"});
  say(worker, Submit{});
  say(worker, Stored{});
  Hello hello;
  hello.role = Role::client;
  say(worker, hello);
  EXPECT_TRUE(turn_until([&] { return objections.size() == 4; }));
  EXPECT_EQ(refusals.of(RefusedFor::unauthorized), 4U);
  EXPECT_THAT(heard, IsEmpty());
}

// Results are passed on without being unpacked, and so past the look at what is unpacked.
TEST_F(GuestsTest, only_a_worker_has_results_passed_on) {
  const JobId job{1, 2};
  Results results = sealed(job, "worker", {0, 1});
  Peer client{*this, keys_of("client")};
  say(client, results, job);
  EXPECT_TRUE(turn_until([&] { return objections.size() == 1; }));
  EXPECT_EQ(diverted, 0);
  Peer worker{*this, keys_of("worker")};
  say(worker, results, job);
  EXPECT_TRUE(turn_until([&] { return diverted == 1; }));
  EXPECT_THAT(objections, SizeIs(1));
}

// Not even if something had been sealed for it.
TEST_F(GuestsTest, a_client_has_no_results_passed_on_although_they_are_sealed_for_it) {
  const JobId job{1, 2};
  Peer client{*this, keys_of("client")};
  say(client, sealed(job, "client", {0, 1}), job);
  EXPECT_TRUE(turn_until([&] { return objections.size() == 1 || diverted == 1; }));
  EXPECT_EQ(refusals.of(RefusedFor::unauthorized), 1U);
  EXPECT_EQ(diverted, 0);
}

TEST_F(GuestsTest, what_comes_in_parts_is_held_against_the_key_as_a_whole) {
  Peer worker{*this, keys_of("worker")};
  say_in_parts(worker, Drain{"somebody"}, 16);
  EXPECT_TRUE(turn_until([&] { return !objections.empty() || !heard.empty(); }));
  EXPECT_EQ(refusals.of(RefusedFor::unauthorized), 1U);
  EXPECT_THAT(heard, IsEmpty());
  EXPECT_GT(parts, 1) << "each is a sign of life";
}

TEST_F(GuestsTest, a_part_without_those_before_it_is_malformed_and_the_next_message_is_heard) {
  Peer worker{*this, keys_of("worker")};
  say_in_parts(worker, Progress{}, 40, 1);
  say(worker, Progress{});
  EXPECT_TRUE(turn_until([&] { return !heard.empty() && heard.back() == "PROGRESS"; }));
  EXPECT_EQ(heard.front(), "a part is missing");
}

TEST_F(GuestsTest, who_has_gone_is_found_to_be_unreachable_and_forgotten) {
  std::optional<Peer> worker{std::in_place, *this, keys_of("worker")};
  say(*worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  worker.reset();
  EXPECT_TRUE(turn_until([&] { return !unreachable.empty(); }));
  EXPECT_THAT(unreachable, ElementsAre(last));
  EXPECT_THAT(exchange->peers(), IsEmpty());
  exchange->send(last, {}, {}, Heartbeat{});
  exchange->send(SendTasks{last, {1, 2}, {}, Tasks{{{3}, 4}, {5, 6}, 0, {}, {}}}, nullptr);
  exchange->pass_on(last, {1, 2}, {}, Frame{encode({}, Heartbeat{})});
  exchange->forget(last);
  Peer another{*this, keys_of("worker")};
  say(another, Progress{});
  EXPECT_TRUE(turn_until([&] { return heard.size() == 2; })) << "and it goes on";
}

TEST_F(GuestsTest, who_was_forgotten_and_speaks_again_is_somebody_new) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  const PeerId before = last;
  exchange->forget(before);
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 2; }));
  EXPECT_NE(last, before);
}

TEST_F(GuestsTest, nobody_hears_of_the_connection_of_somebody_who_was_forgotten) {
  std::optional<Peer> forgotten{std::in_place, *this, keys_of("worker")};
  say(*forgotten, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  exchange->forget(last);
  std::optional<Peer> other{std::in_place, *this, keys_of("worker")};
  say(*other, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 2; }));
  forgotten.reset();
  other.reset();
  EXPECT_TRUE(turn_until([&] { return !unreachable.empty(); }));
  EXPECT_THAT(lost, ElementsAre(last));
}

TEST_F(GuestsTest, what_a_peer_is_slow_to_take_waits_and_comes_in_the_end) {
  constexpr int many = 40'000;
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  for (int i = 0; i < many; ++i) exchange->send(last, {}, {}, Drain{std::string(1000, 'x')});
  EXPECT_TRUE(turn_until([&] { return worker.answers == many; }));
  EXPECT_THAT(unreachable, IsEmpty());
}

TEST_F(GuestsTest, no_frame_that_goes_out_is_larger_than_frames_may_be) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  exchange->pass_on(last, {1, 2}, {}, Frame{encode({}, Drain{std::string(std::size_t{3} << 20, 'x')})});
  ASSERT_TRUE(turn_until([&] { return worker.answers == 4; }));
  EXPECT_THAT(worker.got, ElementsAre("PART"));
  EXPECT_LE(worker.largest, frame_bytes_max);
}

// Each of them can be run before the next has come.
TEST_F(GuestsTest, tasks_with_much_data_go_out_in_several_messages_and_not_in_parts) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  PayloadStore store;
  PayloadWriter payloads{0};
  const std::string data(frame_bytes_max / 100, 'd');
  for (int i = 0; i < 250; ++i) payloads.append({reinterpret_cast<const std::byte*>(data.data()), data.size()});
  store.add({0, 250}, std::move(payloads));
  exchange->send(SendTasks{last, {1, 2}, {}, Tasks{{{3}, 4}, {0, 250}, 0, {}, {}}}, &store);
  ASSERT_TRUE(turn_until([&] { return worker.answers == 3; }));
  EXPECT_THAT(worker.got, ElementsAre("TASKS"));
  EXPECT_LE(worker.largest, frame_bytes_max);
  const Result<Received> received = decode(worker.last.bytes());
  EXPECT_EQ(std::get<Tasks>(received->message).seal, sealed({1, 2}, "worker", {0, 250}).seal) << "of the whole lease";
}

TEST_F(GuestsTest, results_are_passed_on_with_the_seal_of_a_lease_of_their_senders_only) {
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  ASSERT_TRUE(keys.reload());
  Peer worker{*this, keys_of("worker")};
  const JobId job{1, 2};
  const Results good = sealed(job, "worker", {10, 5});
  std::vector<Results> forged{good, good, good, sealed(job, "worker-gpu-3", {10, 5})};
  forged[0].seal = {};
  forged[1].range = {14, 2};
  forged[2].lease.counter = 9;
  for (const Results& results : forged) say(worker, results, job);
  say(worker, good, {1, 3});
  EXPECT_TRUE(turn_until([&] { return objections.size() == forged.size() + 1; }));
  EXPECT_EQ(refusals.of(RefusedFor::forged), forged.size() + 1);
  EXPECT_EQ(diverted, 0);
  Results part = good;
  part.range = {12, 1};
  say(worker, part, job);
  EXPECT_TRUE(turn_until([&] { return diverted == 1; }));
}

// It would be given as its own what another worker runs.
TEST_F(GuestsTest, a_dispatcher_that_knows_its_peers_believes_of_what_they_hold_what_is_sealed_for_them) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  const DispatcherOptions options = known_by(*exchange, {});
  const JobId job{1, 2};
  const Results own = sealed(job, "worker", {5, 6});
  HeldRange held;
  held.job = job;
  held.lease = own.lease;
  held.range = {6, 2};
  held.seal = own.seal;
  EXPECT_TRUE(options.is_sealed(last, held));
  EXPECT_EQ(options.identity_of(last).key, read_key(root + "/worker")->pair->public_key());
  held.range = {4, 2};
  EXPECT_FALSE(options.is_sealed(last, held)) << "beyond what was leased";
  held.range = {6, 2};
  held.seal = sealed(job, "client", {5, 6}).seal;
  EXPECT_FALSE(options.is_sealed(last, held)) << "another's";
  held.seal = own.seal;
  EXPECT_FALSE(options.is_sealed(PeerId{99}, held)) << "nobody";
}

// What is leased goes out sealed for the one who gets it, the whole range in each of its messages.
TEST_F(GuestsTest, tasks_are_sealed_for_their_worker) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  const JobId job{1, 2};
  exchange->send(SendTasks{last, job, {}, Tasks{{{3}, 4}, {5, 6}, 0, {}, {}}}, nullptr);
  ASSERT_TRUE(turn_until([&] { return worker.answers == 1; }));
  const Result<Received> received = decode(worker.last.bytes());
  const auto& tasks = std::get<Tasks>(received->message);
  EXPECT_EQ(tasks.seal, sealed(job, "worker", {5, 6}).seal);
}

// The source of a pipeline, which has the dispatcher's key, does not know who will pull; a seal of its own would be of
// no use to anybody.
TEST_F(GuestsTest, tasks_for_a_stream_are_sealed_for_whoever_pulls_them) {
  Peer source{*this, keys};
  say(source, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  const JobId job{1, 2};
  exchange->send(SendTasks{last, job, {}, Tasks{{{3}, 4}, {5, 6}, 0, {}, {}}}, nullptr);
  ASSERT_TRUE(turn_until([&] { return source.answers == 1; }));
  const Result<Received> received = decode(source.last.bytes());
  Results results;
  results.lease = {{3}, 4};
  results.range = {6, 2};
  results.seal = std::get<Tasks>(received->message).seal;
  const Keys sink = *Keys::open(root, {KeyRole::sink});
  EXPECT_TRUE(bears_stream_seal(sink, job, results));
  EXPECT_FALSE(bears_stream_seal(sink, {1, 3}, results));
  results.range = {4, 2};
  EXPECT_FALSE(bears_stream_seal(sink, job, results)) << "beyond what was given to the stream";
  results.seal = sealed(job, "worker", {5, 6}).seal;
  results.range = {6, 2};
  EXPECT_FALSE(bears_stream_seal(sink, job, results)) << "a worker's own is good for that worker";
}

TEST_F(GuestsTest, who_is_revoked_is_neither_heard_nor_spoken_to_from_then_on) {
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  exchange->send(last, {}, {}, Heartbeat{});
  ASSERT_TRUE(turn_until([&] { return worker.answers == 1; }));

  ASSERT_TRUE(revoke_key(root, "worker"));
  ASSERT_TRUE(turn_until([&] { return revoked.size() == 1; }));
  EXPECT_EQ(revoked.front(), last);
  exchange->send(last, {}, {}, Heartbeat{});
  say(worker, Progress{});
  EXPECT_TRUE(turn_until([&] { return strangers == 1; }));
  EXPECT_THAT(heard, SizeIs(1));
  EXPECT_EQ(worker.answers, 1);
  EXPECT_THAT(exchange->peers(), IsEmpty());
}

TEST_F(GuestsTest, others_stay_when_one_is_revoked_and_who_is_added_comes_in) {
  Peer client{*this, keys_of("client")};
  say(client, Inquire{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 1; }));
  const PeerId id_of_client = last;
  Peer worker{*this, keys_of("worker")};
  say(worker, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 2; }));
  const PeerId id_of_worker = last;
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  ASSERT_TRUE(revoke_key(root, "worker"));
  ASSERT_TRUE(keys.reload());
  ASSERT_TRUE(turn_until([&] { return !revoked.empty(); }));
  EXPECT_THAT(revoked, ElementsAre(id_of_worker));
  Peer added{*this, keys_of("worker-gpu-3")};
  say(added, Progress{});
  ASSERT_TRUE(turn_until([&] { return heard.size() == 3; }));
  say(client, Inquire{});
  EXPECT_TRUE(turn_until([&] { return heard.size() == 4; }));
  EXPECT_EQ(last, id_of_client);
}

// Its header says that it is a result, and nothing else of it can be read.
TEST_F(GuestsTest, a_result_that_is_damaged_is_malformed_and_nobody_gets_it) {
  const JobId job{1, 2};
  PayloadWriter payloads{frame_header_size};
  payloads.append(Bytes{});
  Buffer bytes = encode({job, assigned<IncarnationId>(), {}, 1}, sealed(job, "worker", {0, 1}), std::move(payloads));
  bytes.data()[bytes.size() - 1] ^= std::byte{1};
  ASSERT_TRUE(results_job(bytes));
  Peer worker{*this, keys_of("worker")};
  Frame frame{std::move(bytes)};
  ASSERT_TRUE(turn_until([&] { return worker.socket.send(frame) == SendOutcome::sent; }));
  EXPECT_TRUE(turn_until([&] { return heard.size() == 1; }));
  EXPECT_THAT(heard, ElementsAre(testing::HasSubstr("checksum")));
  EXPECT_EQ(diverted, 0);
}

}  // namespace
}  // namespace ventile
