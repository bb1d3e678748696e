// Does each thing that a task passes through once, so often that what is around it does not count: for callgrind, which
// counts instructions where no clock can be trusted. bench/instructions/check compares them with those kept.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <vector>

#include <ventile/queue/dispatcher.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

constexpr Envelope envelope{{1, 2}, {3}, {4}, 5};
constexpr LeaseId lease{{3}, 7};
constexpr std::uint32_t tasks = 1'024;  // In one batch.
constexpr int batches = 200;

void require(bool holds) {
  if (!holds) std::abort();
}

PayloadWriter texts() {
  PayloadWriter writer{frame_header_size};
  for (std::uint32_t i = 0; i < tasks; ++i) {
    Packer{writer.buffer()}.pack_string("thirty-one bytes, packed in 32:");
    writer.end_payload();
  }
  return writer;
}

// Tasks packed where they are sent from, and their frame.
void encode_results() {
  for (int i = 0; i < batches; ++i) {
    const Buffer frame = encode(envelope, Results{lease, {0, tasks}, false, 1, 1'000, {}, {}}, texts());
    require(frame.size() > 32 * tasks);
  }
}

void decode_tasks() {
  const Buffer frame = encode(envelope, Tasks{lease, {0, tasks}, 0, {}}, texts());
  for (int i = 0; i < batches; ++i) {
    const Result<Received> received = decode(frame);
    require(bool{received});
    for (std::uint32_t n = 0; n < tasks; ++n) {
      std::string_view text;
      require(Unpacker{std::get<Tasks>(received->message).payloads[n]}.read_string(text));
    }
  }
}

// One worker and one sink: a batch leased, stored, settled, and its verdict passed on.
void dispatch() {
  const JobId job{1, 1};
  const PeerId sink{1};
  const PeerId worker{2};
  constexpr std::uint64_t plenty = std::uint64_t{1} << 60;
  Dispatcher dispatcher{{9}, {}};
  TimePoint now{std::chrono::hours{1}};
  std::vector<Tasks> leased;
  SessionId sessions[3];
  const auto say = [&](PeerId peer, JobId about, Message message) {
    now += std::chrono::microseconds{1};
    dispatcher.on_message(peer, {{about, {peer.value}, sessions[peer.value], 0}, std::move(message)}, now);
    for (Action& action : dispatcher.take_actions()) {
      if (auto* sent = std::get_if<SendTasks>(&action))
        leased.push_back(sent->tasks);
      else if (const auto* send = std::get_if<Send>(&action); send && std::holds_alternative<Welcome>(send->message))
        sessions[peer.value] = send->session;
    }
  };
  dispatcher.open_job(job, {.name = "job", .function = "index", .index = {.enabled = true}}, now);
  dispatcher.offer(job, plenty, 0, now);
  say(sink, {}, Hello{.role = Role::sink, .node = {1, 1}, .results_address = "tcp://127.0.0.1:5571"});
  say(sink, job, Opened{.credit = {plenty, plenty, plenty}});
  say(worker, {},
      Hello{.role = Role::worker,
            .node = {2, 2},
            .name = "worker",
            .build = "1",
            .slots = 2,
            .functions = {{"index", true}},
            .credit = {plenty, plenty}});
  for (int i = 0; i < 20 * batches; ++i) {
    const Tasks batch = leased.front();
    leased.erase(leased.begin());
    say(sink, job,
        Stored{{{{worker.value}, batch.lease, batch.range, Verdict::stored, 1'000 * batch.range.count, 0, {}}},
               {plenty, plenty, plenty}});
  }
  require(dispatcher.check().empty());
}

// Results that come out of the order of their numbers, a thousand apart.
void ledger() {
  Ledger ledger;
  for (std::uint64_t round = 0; round < 20; ++round)
    for (std::uint64_t i = 0; i < 1'000; ++i) ledger.record({(round * 1'000 + i * 387 % 1'000) * tasks, tasks}, {});
  require(ledger.count() == 20'000ULL * tasks);
}

}  // namespace
}  // namespace ventile

int main(int argc, char** argv) {
  const std::string_view what = argc == 2 ? argv[1] : "";
  if (what == "nothing") return 0;
  if (what == "encode_results") return ventile::encode_results(), 0;
  if (what == "decode_tasks") return ventile::decode_tasks(), 0;
  if (what == "dispatch") return ventile::dispatch(), 0;
  if (what == "ledger") return ventile::ledger(), 0;
  std::cerr << "usage: instructions nothing|encode_results|decode_tasks|dispatch|ledger\n";
  return 2;
}
