// A dispatcher, an honest worker and an honest sink, and somebody who says what the input tells it to, in any state and
// any order: nobody else's session ends, the books are right after every step, and the job comes to its end.
#include <map>
#include <memory>
#include <vector>

#include <tests/fuzz/fuzz.hpp>
#include <ventile/queue/dispatcher.hpp>

using namespace ventile;

namespace {

constexpr IncarnationId dispatcher_id{0xd15};
constexpr JobId job{1, 1};
constexpr PeerId sink_peer{1}, worker_peer{2}, rogue_peer{3};
constexpr std::uint64_t tasks_max = 1000;

// --- Messages out of bytes ---------------------------------------------------------------------------------------

std::uint64_t number(fuzz::Feed& feed) {
  const std::uint8_t byte = feed.byte();
  if (byte < 0xf0) return byte;
  const std::uint64_t extremes[] = {UINT64_MAX, UINT64_MAX - 1, std::uint64_t{1} << 63, std::uint64_t{1} << 32};
  return extremes[byte % 4];
}

void fill(bool& value, fuzz::Feed& feed) { value = feed.below(2) == 1; }
void fill(std::uint32_t& value, fuzz::Feed& feed) { value = static_cast<std::uint32_t>(number(feed)); }
void fill(std::uint64_t& value, fuzz::Feed& feed) { value = number(feed); }
void fill(std::int64_t& value, fuzz::Feed& feed) { value = static_cast<std::int64_t>(number(feed)); }
void fill(std::string& value, fuzz::Feed& feed) {
  static const char* const words[] = {"", "square", "sum", "rogue", "tcp://127.0.0.1:1"};
  value = words[feed.below(5)];
}
void fill(Text& value, fuzz::Feed& feed) {
  std::string text;
  fill(text, feed);
  value = text;
}
void fill(LeaseId& value, fuzz::Feed& feed) {
  value.dispatcher = feed.below(4) == 0 ? IncarnationId{7} : dispatcher_id;
  value.counter = number(feed);
}
void fill(JobId& value, fuzz::Feed& feed) { value = feed.below(4) == 0 ? JobId{2, feed.below(3)} : job; }
void fill(Range& value, fuzz::Feed& feed) { value = {number(feed), number(feed)}; }
template <class Tag>
void fill(Id<Tag>& value, fuzz::Feed& feed) {
  value.value = number(feed);
}
template <class Tag>
void fill(WideId<Tag>& value, fuzz::Feed& feed) {
  value = {feed.below(3), feed.below(3)};
}
template <class Enum>
requires std::is_enum_v<Enum>
void fill(Enum& value, fuzz::Feed& feed) { value = static_cast<Enum>(feed.below(6)); }
void fill(std::vector<std::byte>& value, fuzz::Feed& feed) { value.resize(feed.below(3)); }
template <class T, std::size_t count>
void fill(std::array<T, count>& values, fuzz::Feed& feed) {
  for (T& value : values) fill(value, feed);
}
template <class T>
requires requires(T value) { T::fields(value); }
void fill(T& value, fuzz::Feed& feed);
template <class T>
void fill(std::vector<T>& values, fuzz::Feed& feed) {
  values.resize(feed.below(4));
  for (T& value : values) fill(value, feed);
}
template <class T>
requires requires(T value) { T::fields(value); }
void fill(T& value, fuzz::Feed& feed) {
  std::apply([&](auto&... field) { (fill(field, feed), ...); }, T::fields(value));
}

template <std::size_t... I>
Message draw(std::size_t type, fuzz::Feed& feed, std::index_sequence<I...>) {
  Message message;
  ((type == I ? (fill(message.emplace<I>(), feed), 0) : 0), ...);
  return message;
}
Message draw(fuzz::Feed& feed) {
  constexpr std::size_t count = std::variant_size_v<Message>;
  return draw(feed.below(count), feed, std::make_index_sequence<count>{});
}

// --- The fabric --------------------------------------------------------------------------------------------------

class Fabric {
public:
  Fabric() : dispatcher_(dispatcher_id, {}) {
    JobOptions options;
    options.name = "squares";
    options.function = "square";
    options.tries_max = 2;
    dispatcher_.open_job(job, options, now_);
    say(sink_peer, Hello{.role = Role::sink, .node = {1, 1}, .results_address = "tcp://127.0.0.1:5571", .greeting = 1});
    say(worker_peer, Hello{.node = {2, 2},
                           .slots = 1,
                           .functions = {{"square", true}},
                           .credit = {UINT64_MAX / 2, UINT64_MAX / 2},
                           .greeting = 1});
  }

  void step(fuzz::Feed& feed) {
    switch (feed.below(10)) {
      case 0:
        return pass(std::chrono::milliseconds{20} * feed.byte());
      case 1:
        return offer(feed.below(20));
      case 2:
        return finish_one(worker_peer);
      case 3:
        return finish_one(rogue_peer);
      case 4:
        dispatcher_.on_malformed(rogue_peer, {Code::invalid, "garbage"}, std::nullopt, now_);
        return settle();
      case 5:
        dispatcher_.on_unreachable(rogue_peer, now_);
        return settle();
      case 6:
        return enrol(feed.below(3));
      default:
        return say_anything(feed);
    }
  }

  // The rogue is gone; the others bring the job to its end.
  void end() {
    dispatcher_.on_unreachable(rogue_peer, now_);
    settle();
    if (submitted_ == 0) offer(1);
    dispatcher_.end_job(job, now_);
    settle();
    for (int i = 0; i < 10'000 && !closed_; ++i) {
      while (!leased_[worker_peer].empty()) finish_one(worker_peer);
      pass(std::chrono::milliseconds{400});
    }
    fuzz::hold(closed_, "the job comes to its end");
    const Audit audit = dispatcher_.audit(job);
    std::uint64_t outcomes = 0;
    for (const std::uint64_t count : audit.outcomes) outcomes += count;
    fuzz::hold(audit.submitted == submitted_ && outcomes == submitted_, "every task has one outcome");
    fuzz::hold(settled_.count() == submitted_, "the sink has every task once");
  }

private:
  struct Leased {
    LeaseId lease;
    Range range;
  };

  TimePoint now_{std::chrono::hours{1}};
  Dispatcher dispatcher_;
  std::map<PeerId, SessionId> sessions_;
  std::map<PeerId, std::vector<Leased>> leased_;
  IntervalSet settled_;
  std::uint64_t submitted_ = 0;
  bool closed_ = false;

  static IncarnationId incarnation_of(PeerId peer) { return {100 + peer.value}; }

  void say(PeerId from, const Message& message, JobId about = {}) { say(from, message, about, sessions_[from]); }
  void say(PeerId from, const Message& message, JobId about, SessionId session) {
    PayloadWriter payloads{frame_header_size};
    std::uint64_t count = 0;
    if (const auto* offer = std::get_if<Offer>(&message)) count = std::min<std::uint64_t>(offer->range.count, 50);
    for (std::uint64_t i = 0; i < count; ++i) payloads.append(Bytes{});
    const Buffer frame = encode({about, incarnation_of(from), session, 1}, message, std::move(payloads));
    if (const Result<Received> received = decode(frame))
      dispatcher_.on_message(from, *received, now_);
    else
      dispatcher_.on_malformed(from, received.error(), std::nullopt, now_);
    settle();
  }

  void say_anything(fuzz::Feed& feed) {
    const Message message = draw(feed);
    JobId about;
    fill(about, feed);
    const bool with_session = feed.below(8) != 0;
    say(rogue_peer, message, about, with_session ? sessions_[rogue_peer] : SessionId{feed.byte()});
  }

  void enrol(std::uint64_t role) {
    Hello hello{.role = static_cast<Role>(role), .node = {3, 3}, .name = "rogue", .greeting = 1};
    if (hello.role == Role::worker) {
      hello.slots = 2;
      hello.functions = {{"square", true}};
      hello.credit = {UINT64_MAX, UINT64_MAX};
    }
    say(rogue_peer, hello, {}, {});
  }

  void offer(std::uint64_t count) {
    if (count == 0 || submitted_ + count > tasks_max) return;
    submitted_ = dispatcher_.offer(job, count, count, now_).end();
    settle();
  }

  void pass(Duration time) {
    for (const TimePoint end = now_ + time; now_ < end;) {
      now_ = std::min(end, now_ + std::chrono::milliseconds{400});
      say(worker_peer, Progress{{UINT64_MAX / 2, UINT64_MAX / 2}, 1, 0, {}});
      say(sink_peer, Heartbeat{});
      dispatcher_.on_tick(now_);
      settle();
    }
  }

  // The sink stores the oldest batch of this worker.
  void finish_one(PeerId worker) {
    auto& leased = leased_[worker];
    if (leased.empty()) return;
    const Leased one = leased.front();
    leased.erase(leased.begin());
    store(incarnation_of(worker), one.lease, one.range, {});
  }

  void store(IncarnationId worker, LeaseId lease, Range range, const std::vector<FailureNote>& failures) {
    Stored stored;
    for (const Range part : settled_.missing(range)) {
      Settlement settlement{worker, lease, part, Verdict::stored, 1000, part.count, {}};
      for (FailureNote note : failures) {
        note.range = intersection(note.range, part);
        if (!note.range.empty()) settlement.failures.push_back(note);
      }
      stored.settlements.push_back(settlement);
    }
    for (const Range part : settled_.present(range))
      stored.settlements.push_back({worker, lease, part, Verdict::duplicate, 0, 0, {}});
    settled_.insert(range);
    stored.credit = {UINT64_MAX / 2, UINT64_MAX / 2, UINT64_MAX};
    say(sink_peer, stored, job);
  }

  // Carries out what the dispatcher wants, and looks at its books.
  void settle() {
    for (Actions actions = dispatcher_.take_actions(); !actions.empty(); actions = dispatcher_.take_actions()) {
      for (Action& action : actions) {
        if (const auto* send = std::get_if<Send>(&action)) hear(*send);
        if (const auto* tasks = std::get_if<SendTasks>(&action))
          leased_[tasks->to].push_back({tasks->tasks.lease, tasks->tasks.range});
        if (const auto* forget = std::get_if<Forget>(&action)) {
          fuzz::hold(forget->peer == rogue_peer || closed_, "nobody's session ends but the rogue's");
          leased_[forget->peer].clear();
        }
        if (const auto* closed = std::get_if<JobClosed>(&action); closed != nullptr && closed->job == job)
          closed_ = true;
        if (const auto* failed = std::get_if<JobFailed>(&action))
          fuzz::hold(failed->job != job, "the job does not fail");
      }
    }
    const std::string wrong = dispatcher_.check();
    if (!wrong.empty()) std::fprintf(stderr, "%s\n", wrong.c_str());
    fuzz::hold(wrong.empty(), "the books are right");
  }

  void hear(const Send& send) {
    if (std::holds_alternative<Welcome>(send.message)) sessions_[send.to] = send.session;
    if (send.to == worker_peer) return hear_as_worker(send);
    if (send.to != sink_peer) return;
    if (std::holds_alternative<Open>(send.message)) {
      Opened opened;
      opened.have = settled_.ranges();
      opened.credit = {UINT64_MAX / 2, UINT64_MAX / 2, UINT64_MAX};
      say(sink_peer, opened, job);
    } else if (const auto* propose = std::get_if<Propose>(&send.message)) {
      const Propose proposal = *propose;
      for (const Range range : proposal.ranges)
        store({}, {}, range, {{range, proposal.outcome, proposal.kind, proposal.message}});
    } else if (std::holds_alternative<End>(send.message)) {
      Closed closed;
      closed.outcomes = dispatcher_.audit(job).outcomes;
      say(sink_peer, closed, job);
    }
  }

  void hear_as_worker(const Send& send) {
    auto& leased = leased_[worker_peer];
    if (const auto* retract = std::get_if<Retract>(&send.message)) {
      Return returned{retract->lease, {}, ReturnReason::not_begun, {}, {}};
      std::erase_if(leased, [&](const Leased& one) {
        if (one.lease != retract->lease || retract->count < one.range.count) return false;
        returned.ranges.push_back(one.range);
        return true;
      });
      say(worker_peer, returned, send.job);
    } else if (const auto* cancel = std::get_if<Cancel>(&send.message)) {
      std::erase_if(leased, [&](const Leased& one) { return one.lease == cancel->lease; });
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 600) return 0;
  fuzz::Feed feed{fuzz::bytes_of(data, size)};
  Fabric fabric;
  while (!feed.empty()) fabric.step(feed);
  fabric.end();
  return 0;
}
