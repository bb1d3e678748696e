// Every message of Ventile as a plain value, in the order in which a conversation happens. PROTOCOL.md uses the same
// words. `fields` lists what travels in the body, in order; the envelope (job, incarnation, session, sequence) and
// the payloads travel around it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/text.hpp>
#include <ventile/wire/outcome.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

// --- Opening -----------------------------------------------------------------------------------------------------

enum class Role : std::uint8_t { worker, sink, client };

// A function that a worker serves. One that is not repeatable is never run twice on purpose.
struct FunctionOffer {
  std::string name;
  bool repeatable = true;

  static auto fields(auto& m) { return std::tie(m.name, m.repeatable); }
  bool operator==(const FunctionOffer&) const = default;
};

// By which whoever collects results knows, if there are keys, that the dispatcher leased this range to their sender.
// The worker keeps it beside the tasks and says it again with each result of them.
struct Seal {
  Range range;
  SealCode code;

  static auto fields(auto& m) { return std::tie(m.range, m.code); }
  bool operator==(const Seal&) const = default;
};

// A range that a worker still holds from an earlier session.
struct HeldRange {
  JobId job;
  LeaseId lease;
  Range range;
  bool finished = false;  // Its result is kept and will be sent again; otherwise it waits or runs.
  Seal seal;              // As it came with the tasks: that the range was given at all.

  static auto fields(auto& m) { return std::tie(m.job, m.lease, m.range, m.finished, m.seal); }
  bool operator==(const HeldRange&) const = default;
};

// How much a receiver allows its sender, counted from the start of the session and never decreasing: a lost message
// cannot leak credit.
struct Credit {
  std::uint64_t tasks = 0;
  std::uint64_t bytes = 0;

  static auto fields(auto& m) { return std::tie(m.tasks, m.bytes); }
  bool operator==(const Credit&) const = default;
};

// Worker, sink, client -> dispatcher. The first message of a session, the answer to HELLO-AGAIN, and said again from
// time to time while nobody answers.
struct Hello {
  static constexpr std::uint8_t type = 0x01;
  Role role = Role::worker;
  NodeId node;
  std::string name;   // For people: host and process.
  std::string build;  // Version of the sender's software.
  std::uint32_t slots = 0;
  std::vector<FunctionOffer> functions;
  std::string results_address;  // Of a sink or client: where workers connect. A client may have none.
  Credit credit;
  std::vector<HeldRange> held;  // A sink's: just the job that it has results of.
  std::uint64_t greeting = 0;   // Counts the sender's HELLOs.
  MachineId machine;            // Frames may be lent to it by processes of the same; none: not to it.

  static auto fields(auto& m) {
    return std::tie(m.role, m.node, m.name, m.build, m.slots, m.functions, m.results_address, m.credit, m.held,
                    m.greeting, m.machine);
  }
  bool operator==(const Hello&) const = default;
};

// Dispatcher -> peer. The session's identity is in the envelope. An answer to any but the last HELLO is ignored: the
// session that it names is over already.
struct Welcome {
  static constexpr std::uint8_t type = 0x02;
  std::uint32_t heartbeat_milliseconds = 0;   // Say something at least this often.
  std::uint32_t dead_after_milliseconds = 0;  // Whoever is silent for so long is taken for dead, both ways.
  std::uint64_t greeting = 0;                 // Of the HELLO that this answers.
  MachineId machine;                          // As in HELLO: where the dispatcher is, if frames may be lent to it.

  static auto fields(auto& m) {
    return std::tie(m.heartbeat_milliseconds, m.dead_after_milliseconds, m.greeting, m.machine);
  }
  bool operator==(const Welcome&) const = default;
};

enum class Refusal : std::uint8_t { version, role, malformed, unauthorized };

// Dispatcher -> peer. There is no session; the peer should not try again before a person has looked.
struct Refused {
  static constexpr std::uint8_t type = 0x03;
  Refusal reason = Refusal::version;
  std::string message;

  static auto fields(auto& m) { return std::tie(m.reason, m.message); }
  bool operator==(const Refused&) const = default;
};

// Dispatcher -> peer: I do not know you (any more). Introduce yourself.
struct HelloAgain {
  static constexpr std::uint8_t type = 0x04;

  static auto fields(auto&) { return std::tie(); }
  bool operator==(const HelloAgain&) const = default;
};

// --- A job -------------------------------------------------------------------------------------------------------

// Input without payloads: task `number` gets the integer start + step × number.
struct IndexRule {
  bool enabled = false;
  std::int64_t start = 0;
  std::int64_t step = 1;

  static auto fields(auto& m) { return std::tie(m.enabled, m.start, m.step); }
  bool operator==(const IndexRule&) const = default;
};

// Dispatcher -> worker and sink: what the job in the envelope is. Before anything else about it.
struct Open {
  static constexpr std::uint8_t type = 0x10;
  std::string name;
  std::string function;
  std::vector<std::byte> constants;  // Packed values that come before the input of every task.
  std::uint32_t constant_count = 0;
  IndexRule index;
  std::uint64_t timeout_nanoseconds = 0;  // Of one task; 0: none.
  std::uint32_t tries_max = 1;
  bool repeatable = true;
  std::string fold;  // Name of a reducer, or empty.

  static auto fields(auto& m) {
    return std::tie(m.name, m.function, m.constants, m.constant_count, m.index, m.timeout_nanoseconds, m.tries_max,
                    m.repeatable, m.fold);
  }
  bool operator==(const Open&) const = default;
};

// How much a sink takes of one job. Absolute, as all credit. Numbers from `number_limit` on must not be leased yet
// (ordered output: bounded memory).
struct SinkCredit {
  std::uint64_t tasks = 0;
  std::uint64_t bytes = 0;
  Number number_limit = 0;

  static auto fields(auto& m) { return std::tie(m.tasks, m.bytes, m.number_limit); }
  bool operator==(const SinkCredit&) const = default;
};

// Numbers that ended otherwise than done.
struct RangeOutcome {
  Range range;
  Outcome outcome = Outcome::failed;

  static auto fields(auto& m) { return std::tie(m.range, m.outcome); }
  bool operator==(const RangeOutcome&) const = default;
};

// Sink -> dispatcher: I take the job (or not: refusal is not empty), and this is what I have of it already.
struct Opened {
  static constexpr std::uint8_t type = 0x11;
  std::string refusal;
  std::string fold;      // The sink asks that results be folded with this reducer; empty: not.
  bool ordered = false;  // Results are needed by number: the lowest missing range goes first.
  std::vector<Range> have;
  std::vector<RangeOutcome> exceptions;  // What of it is not done.
  SinkCredit credit;

  static auto fields(auto& m) { return std::tie(m.refusal, m.fold, m.ordered, m.have, m.exceptions, m.credit); }
  bool operator==(const Opened&) const = default;
};

// Dispatcher -> worker: send this job's results there; without an address to the dispatcher, which passes them on. A
// new incarnation wants again what has no verdict yet, and so does the same one if it is named twice in a session.
struct Route {
  static constexpr std::uint8_t type = 0x12;
  IncarnationId sink;
  std::string address;
  MachineId machine;  // The sink's, as it said in its HELLO.

  static auto fields(auto& m) { return std::tie(m.sink, m.address, m.machine); }
  bool operator==(const Route&) const = default;
};

// --- Work --------------------------------------------------------------------------------------------------------

// Dispatcher -> worker, with the range's payloads (none for index jobs).
struct Tasks {
  static constexpr std::uint8_t type = 0x20;
  LeaseId lease;
  Range range;              // One lease may come in several messages.
  std::uint32_t tries = 0;  // How often these tasks were tried and failed.
  Seal seal;                // Of a range that holds this one.
  PayloadView payloads;     // Not a field.

  static auto fields(auto& m) { return std::tie(m.lease, m.range, m.tries, m.seal); }
};

// Any direction: a piece of a message that is too large for one frame. Its one payload is bytes
// [offset, offset + length) of the message's frame.
struct Part {
  static constexpr std::uint8_t type = 0x21;
  std::uint64_t transfer = 0;  // Counts the sender's split messages.
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  PayloadView payloads;  // Not a field.

  static auto fields(auto& m) { return std::tie(m.transfer, m.offset, m.total); }
};

// A task within a result that has another outcome than done.
struct Failure {
  std::uint32_t offset = 0;  // Number minus the range's first.
  Outcome outcome = Outcome::failed;

  static auto fields(auto& m) { return std::tie(m.offset, m.outcome); }
  bool operator==(const Failure&) const = default;
};

// Worker -> sink or client, over PUSH or by way of the dispatcher, with one payload per number, or one for all if
// folded.
struct Results {
  static constexpr std::uint8_t type = 0x22;
  LeaseId lease;
  Range range;
  bool folded = false;
  std::uint32_t tries = 0;             // Of each of these tasks, this one included.
  std::uint64_t busy_nanoseconds = 0;  // What one slot needed for the range.
  std::vector<Failure> failures;       // In order of offset.
  Seal seal;                           // That came with the tasks.
  PayloadView payloads;                // Not a field, nor is what follows:
  // CRC-32C of each payload, as decode() has met them when it checked the frame; empty if they are small.
  std::vector<std::uint32_t> checksums = {};

  static auto fields(auto& m) {
    return std::tie(m.lease, m.range, m.folded, m.tries, m.busy_nanoseconds, m.failures, m.seal);
  }
};

// What the sink decided about a result or a proposal.
enum class Verdict : std::uint8_t {
  stored,     // The numbers had no outcome; now they have this one.
  duplicate,  // All of them had an outcome already; dropped.
  overlap,    // Some had; dropped as a whole (folded) or stored in part and reported in parts.
  refused,    // The sink does not know the job or cannot read the result; dropped.
};

// Tasks that ended badly in the same way, for the summary and for running them again. `message` is cut
// to message_bytes_max; the sink's output has all of it.
struct FailureNote {
  Range range;
  Outcome outcome = Outcome::failed;
  Text kind;
  Text message;

  static constexpr std::size_t message_bytes_max = 256;
  static auto fields(auto& m) { return std::tie(m.range, m.outcome, m.kind, m.message); }
  bool operator==(const FailureNote&) const = default;
};

// The verdict on one range, echoing where it came from. No worker and no lease: it was a proposal.
struct Settlement {
  IncarnationId worker;
  LeaseId lease;
  Range range;
  Verdict verdict = Verdict::stored;
  std::uint64_t busy_nanoseconds = 0;
  std::uint64_t bytes = 0;            // Of the result.
  std::vector<FailureNote> failures;  // In order; what is not listed is done.

  static auto fields(auto& m) {
    return std::tie(m.worker, m.lease, m.range, m.verdict, m.busy_nanoseconds, m.bytes, m.failures);
  }
  bool operator==(const Settlement&) const = default;
};

// Sink -> dispatcher: verdicts on what has come in, and the job's credit. Many ride in one message.
struct Stored {
  static constexpr std::uint8_t type = 0x23;
  std::vector<Settlement> settlements;
  SinkCredit credit;

  static auto fields(auto& m) { return std::tie(m.settlements, m.credit); }
  bool operator==(const Stored&) const = default;
};

struct VerdictNote {
  LeaseId lease;
  Range range;
  Verdict verdict = Verdict::stored;

  static auto fields(auto& m) { return std::tie(m.lease, m.range, m.verdict); }
  bool operator==(const VerdictNote&) const = default;
};

// Dispatcher -> worker: forget these results of the job; their credit is yours again.
struct Verdicts {
  static constexpr std::uint8_t type = 0x24;
  std::vector<VerdictNote> verdicts;

  static auto fields(auto& m) { return std::tie(m.verdicts); }
  bool operator==(const Verdicts&) const = default;
};

// Dispatcher -> worker: give back what has not begun of the lease, from its end, at most `count` tasks.
struct Retract {
  static constexpr std::uint8_t type = 0x25;
  LeaseId lease;
  std::uint64_t count = 0;

  static auto fields(auto& m) { return std::tie(m.lease, m.count); }
  bool operator==(const Retract&) const = default;
};

enum class ReturnReason : std::uint8_t {
  not_begun,  // Retracted or handed back by a worker that leaves: not a try.
  failed,     // Ran and failed with tries left.
  cancelled,  // Was told to stop.
  unknown,    // The worker has no such job or function (any more).
  dead,       // Whoever runs them dies; a pipeline has sent them several times.
  stopped,    // Had begun, and was stopped because its worker leaves at once: not a try.
};

// Worker -> dispatcher: these numbers of the lease will not have a result from me. An empty list answers a Retract
// that came too late.
struct Return {
  static constexpr std::uint8_t type = 0x26;
  LeaseId lease;
  std::vector<Range> ranges;
  ReturnReason reason = ReturnReason::not_begun;
  std::string kind;  // Of the failure.
  std::string message;

  static auto fields(auto& m) { return std::tie(m.lease, m.ranges, m.reason, m.kind, m.message); }
  bool operator==(const Return&) const = default;
};

// Dispatcher -> worker: stop these. A lease: drop that one (its numbers are settled or somebody else's). No lease:
// the whole job is cancelled; give back what has no result.
struct Cancel {
  static constexpr std::uint8_t type = 0x27;
  LeaseId lease;
  Range range;  // With a lease: only these numbers of it.

  static auto fields(auto& m) { return std::tie(m.lease, m.range); }
  bool operator==(const Cancel&) const = default;
};

// Dispatcher -> sink: give these numbers this outcome, unless they have one. Answered by settlements.
struct Propose {
  static constexpr std::uint8_t type = 0x28;
  std::vector<Range> ranges;
  Outcome outcome = Outcome::failed;
  std::uint32_t tries = 0;
  std::string kind;
  std::string message;

  static auto fields(auto& m) { return std::tie(m.ranges, m.outcome, m.tries, m.kind, m.message); }
  bool operator==(const Propose&) const = default;
};

// --- Staying in touch --------------------------------------------------------------------------------------------

// Either way, when there is nothing else to say. Any message counts as one.
struct Heartbeat {
  static constexpr std::uint8_t type = 0x30;

  static auto fields(auto&) { return std::tie(); }
  bool operator==(const Heartbeat&) const = default;
};

// One lease that a worker has begun and not finished.
struct RunningLease {
  JobId job;
  LeaseId lease;
  std::uint64_t finished = 0;             // Its tasks that have ended, ever rising.
  std::uint64_t running_nanoseconds = 0;  // For how long its longest-running task has run.

  static auto fields(auto& m) { return std::tie(m.job, m.lease, m.finished, m.running_nanoseconds); }
  bool operator==(const RunningLease&) const = default;
};

// Worker -> dispatcher: its heartbeat. A lease is renewed by progress only, never by being alive.
struct Progress {
  static constexpr std::uint8_t type = 0x31;
  Credit credit;
  std::uint32_t slots = 0;     // That still work; a hung one is not counted.
  std::uint64_t finished = 0;  // Tasks since the worker's start.
  std::vector<RunningLease> running;

  static auto fields(auto& m) { return std::tie(m.credit, m.slots, m.finished, m.running); }
  bool operator==(const Progress&) const = default;
};

// Dispatcher -> peer, in place of a heartbeat: from now on these count, not those of WELCOME. Many peers have come, who
// must all speak less often, or have left.
struct Pace {
  static constexpr std::uint8_t type = 0x33;
  std::uint32_t heartbeat_milliseconds = 0;   // Say something at least this often.
  std::uint32_t dead_after_milliseconds = 0;  // Whoever is silent for so long is taken for dead, both ways.

  static auto fields(auto& m) { return std::tie(m.heartbeat_milliseconds, m.dead_after_milliseconds); }
  bool operator==(const Pace&) const = default;
};

// What no terminal should see.
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// What a running task says of itself, for people.
struct Milestone {
  JobId job;
  Number task = 0;
  std::uint32_t permille = 0;  // How far it is: 0 to permille_max.
  std::string text;            // At most text_bytes_max, none of them is_control().

  static constexpr std::uint32_t permille_max = 1000;
  static constexpr std::size_t text_bytes_max = 256;
  static auto fields(auto& m) { return std::tie(m.job, m.task, m.permille, m.text); }
  bool operator==(const Milestone&) const = default;
};

// "42 %: epoch 3".
inline std::string to_text(const Milestone& milestone) {
  return std::to_string(milestone.permille / 10) + " %" + (milestone.text.empty() ? "" : ": " + milestone.text);
}

// Worker -> dispatcher: what its running tasks say, in place of what it said before. With its heartbeat, if it differs.
struct Milestones {
  static constexpr std::uint8_t type = 0x32;
  std::vector<Milestone> milestones;

  static auto fields(auto& m) { return std::tie(m.milestones); }
  bool operator==(const Milestones&) const = default;
};

// --- Ending ------------------------------------------------------------------------------------------------------

// Dispatcher -> sink: every number below `total` has an outcome, and there are no others. Finalise the output.
struct End {
  static constexpr std::uint8_t type = 0x40;
  std::uint64_t total = 0;

  static auto fields(auto& m) { return std::tie(m.total); }
  bool operator==(const End&) const = default;
};

// Sink -> dispatcher: the output is complete. Counts by outcome, in the order of Outcome.
struct Closed {
  static constexpr std::uint8_t type = 0x41;
  std::array<std::uint64_t, outcome_count> outcomes{};
  std::uint64_t duplicates = 0;  // Results dropped because their numbers had an outcome.
  std::uint64_t digest = 0;      // Of (number, outcome, payload) over all results, in any order.
  std::string error;             // Not empty: the output could not be written; the job has failed.

  static auto fields(auto& m) { return std::tie(m.outcomes, m.duplicates, m.digest, m.error); }
  bool operator==(const Closed&) const = default;
};

// Dispatcher -> worker and sink: the job is over. Forget it.
struct Close {
  static constexpr std::uint8_t type = 0x42;

  static auto fields(auto&) { return std::tie(); }
  bool operator==(const Close&) const = default;
};

enum class ByeReason : std::uint8_t {
  done,     // Nothing left to do: a drained worker, a dispatcher whose jobs are over.
  leaving,  // A worker or sink is about to leave: give it nothing more.
  failed,   // Cannot go on; the message says why.
};

// Either way: this session ends. What is still leased is lost and goes back to the queue.
struct Bye {
  static constexpr std::uint8_t type = 0x43;
  ByeReason reason = ByeReason::done;
  std::string message;

  static auto fields(auto& m) { return std::tie(m.reason, m.message); }
  bool operator==(const Bye&) const = default;
};

// --- Clients of a broker -----------------------------------------------------------------------------------------
//
// A client is the source of its jobs' tasks and the sink of their results. It says STORED, PROPOSE and END are said to
// it, and it answers END with CLOSED, all as between dispatcher and sink.

// Client -> dispatcher: the job in the envelope begins or, in a new session, goes on. What a sink says in OPENED is
// said here: what the client has of the job already, and how much it takes.
struct Submit {
  static constexpr std::uint8_t type = 0x50;
  std::string name;
  std::string function;
  std::vector<std::byte> constants;
  std::uint32_t constant_count = 0;
  IndexRule index;
  std::uint64_t timeout_nanoseconds = 0;  // Of one task; 0: none.
  std::uint32_t tries_max = 1;
  std::string fold;
  std::int64_t priority = 0;           // Tasks of a higher one go first.
  std::uint64_t keep_nanoseconds = 0;  // How long the job outlives a client that is gone.
  // The dispatcher keeps the results until they are fetched by the job's name, whether its client is there or not.
  bool kept = false;
  // A task that a lost worker may have begun does not run again, unless its function is repeatable there: it is lost.
  bool once = false;
  std::string source;  // Of a kept job: what the tasks come from, in words by which another input is told from it.
  std::vector<Range> have;
  std::vector<RangeOutcome> exceptions;  // What of it is not done.
  SinkCredit credit;

  static auto fields(auto& m) {
    return std::tie(m.name, m.function, m.constants, m.constant_count, m.index, m.timeout_nanoseconds, m.tries_max,
                    m.fold, m.priority, m.keep_nanoseconds, m.kept, m.once, m.source, m.have, m.exceptions, m.credit);
  }
  bool operator==(const Submit&) const = default;
};

// Dispatcher -> client: which tasks of the job it knows, and how many more it takes. Tasks: numbers below may be
// offered. Bytes: of payload, counted from SUBMIT. Neither falls within a session.
struct Accepted {
  static constexpr std::uint8_t type = 0x51;
  std::string refusal;  // Not empty: the job is not taken, and why.
  std::uint64_t submitted = 0;
  Credit credit;
  JobId job;              // Of a kept job that was known by its name: its id, by which both speak of it from now on.
  bool complete = false;  // The dispatcher knows that there will be no more tasks.
  LifeId life;  // If it is another than before, the dispatcher has forgotten the job, and what of it has begun.

  static auto fields(auto& m) { return std::tie(m.refusal, m.submitted, m.credit, m.job, m.complete, m.life); }
  bool operator==(const Accepted&) const = default;
};

// Client -> dispatcher: tasks, with one payload each; with none if it is an index job, or if the client has an outcome
// of every one of them already. What of the range is known is passed over.
struct Offer {
  static constexpr std::uint8_t type = 0x52;
  Range range;
  PayloadView payloads;  // Not a field.

  static auto fields(auto& m) { return std::tie(m.range); }
};

// Client -> dispatcher: the job has the numbers below `total`, and there will be no others.
struct Complete {
  static constexpr std::uint8_t type = 0x53;
  std::uint64_t total = 0;

  static auto fields(auto& m) { return std::tie(m.total); }
  bool operator==(const Complete&) const = default;
};

// Dispatcher -> client: what people call the worker whose results will have this incarnation in their envelope.
struct Served {
  static constexpr std::uint8_t type = 0x54;
  IncarnationId worker;
  std::string name;

  static auto fields(auto& m) { return std::tie(m.worker, m.name); }
  bool operator==(const Served&) const = default;
};

// Worker -> dispatcher: so many of its tasks wait for tasks that they have submitted, and need no slot meanwhile.
struct Waiting {
  static constexpr std::uint8_t type = 0x55;
  std::uint64_t tasks = 0;

  static auto fields(auto& m) { return std::tie(m.tasks); }
  bool operator==(const Waiting&) const = default;
};

// Client -> dispatcher: the results of a kept job, please; those of tasks that are yet to run as they come. Answered by
// ACCEPTED, which names the job's id.
struct Fetch {
  static constexpr std::uint8_t type = 0x56;
  std::string name;
  std::string fold;         // As the job has it.
  bool ordered = false;     // By number: none before those below it.
  std::vector<Range> have;  // Not these.
  SinkCredit credit;        // Bytes: of frames of results, counted from FETCH. The others do not count.

  static auto fields(auto& m) { return std::tie(m.name, m.fold, m.ordered, m.have, m.credit); }
  bool operator==(const Fetch&) const = default;
};

// Client -> dispatcher: nobody wants this job any more, nor its results. Answered by EXPLANATION.
struct Discard {
  static constexpr std::uint8_t type = 0x57;
  std::string job;  // Its name, or how its id in hexadecimal begins.

  static auto fields(auto& m) { return std::tie(m.job); }
  bool operator==(const Discard&) const = default;
};

// Client -> dispatcher: what is going on? Answered by REPORT.
struct Inquire {
  static constexpr std::uint8_t type = 0x58;

  static auto fields(auto&) { return std::tie(); }
  bool operator==(const Inquire&) const = default;
};

struct ClientState {
  std::string name;
  bool connected = false;
  std::uint64_t jobs = 0;
  std::uint64_t silent_milliseconds = 0;

  static auto fields(auto& m) { return std::tie(m.name, m.connected, m.jobs, m.silent_milliseconds); }
  bool operator==(const ClientState&) const = default;
};

// The first line of numbers is the audit: submitted = queued + delayed + leased + awaiting + the outcomes.
struct JobState {
  JobId job;
  std::string name;
  std::string function;
  std::string client;  // Empty: the dispatcher's own.
  std::int64_t priority = 0;
  std::uint64_t submitted = 0;
  std::uint64_t queued = 0;
  std::uint64_t delayed = 0;
  std::uint64_t leased = 0;
  std::uint64_t awaiting = 0;
  std::array<std::uint64_t, outcome_count> outcomes{};
  bool complete = false;         // There will be no more tasks.
  std::string waiting_for;       // Why nothing moves, or empty.
  bool kept = false;             // Its results are, until they are fetched;
  std::uint64_t kept_bytes = 0;  // and these are theirs.

  static auto fields(auto& m) {
    return std::tie(m.job, m.name, m.function, m.client, m.priority, m.submitted, m.queued, m.delayed, m.leased,
                    m.awaiting, m.outcomes, m.complete, m.waiting_for, m.kept, m.kept_bytes);
  }
  bool operator==(const JobState&) const = default;
};

struct WorkerState {
  std::string name;
  std::uint32_t slots = 0;
  std::uint64_t leased = 0;    // Tasks.
  std::uint64_t finished = 0;  // Tasks, as it last said.
  std::uint64_t silent_milliseconds = 0;
  bool leaving = false;
  std::vector<Milestone> milestones;  // What its running tasks last said.

  static auto fields(auto& m) {
    return std::tie(m.name, m.slots, m.leased, m.finished, m.silent_milliseconds, m.leaving, m.milestones);
  }
  bool operator==(const WorkerState&) const = default;
};

// Why a message may be refused: malformed, of another version, out of place, unauthorized, forged, revoked, over
// a limit.
inline constexpr std::size_t refusal_reasons = 7;

// Dispatcher -> client: the answer to INQUIRE.
struct Report {
  static constexpr std::uint8_t type = 0x59;
  std::vector<ClientState> clients;
  std::vector<JobState> jobs;
  std::vector<WorkerState> workers;
  std::uint64_t jobs_closed = 0;                         // That are over and forgotten.
  std::array<std::uint64_t, outcome_count> outcomes{};   // Of their tasks.
  std::array<std::uint64_t, refusal_reasons> refused{};  // Messages, by reason.

  static auto fields(auto& m) { return std::tie(m.clients, m.jobs, m.workers, m.jobs_closed, m.outcomes, m.refused); }
  bool operator==(const Report&) const = default;
};

// Client -> dispatcher: why is this job, or this task of it, not done? Answered by EXPLANATION.
struct Explain {
  static constexpr std::uint8_t type = 0x5a;
  std::string job;  // Its name, or the beginning of its id.
  bool one_task = false;
  Number task = 0;

  static auto fields(auto& m) { return std::tie(m.job, m.one_task, m.task); }
  bool operator==(const Explain&) const = default;
};

// Dispatcher -> client: the answer to EXPLAIN, DISCARD and DRAIN.
struct Explanation {
  static constexpr std::uint8_t type = 0x5b;
  bool found = false;  // There is such a job, task or worker.
  std::string text;

  static auto fields(auto& m) { return std::tie(m.found, m.text); }
  bool operator==(const Explanation&) const = default;
};

// Client -> dispatcher: let the workers of this name finish what runs, hand back the rest and leave. Dispatcher ->
// worker: do that.
struct Drain {
  static constexpr std::uint8_t type = 0x5c;
  std::string worker;

  static auto fields(auto& m) { return std::tie(m.worker); }
  bool operator==(const Drain&) const = default;
};

// --- The pipeline ------------------------------------------------------------------------------------------------
//
// The source of a stream is a worker to its dispatcher. What it is given it does not run, but puts on its PUSH socket;
// stages pull, run and push on; the last ones push RESULTS to the sink, in the source's name.

// Stage -> dispatcher, outside of any session and again and again: where is the stream?
struct Seek {
  static constexpr std::uint8_t type = 0x70;
  std::string name;  // For people: host and process.

  static auto fields(auto& m) { return std::tie(m.name); }
  bool operator==(const Seek&) const = default;
};

// Dispatcher -> stage: connect a PULL socket to this address. Not said while there is no source.
struct Stream {
  static constexpr std::uint8_t type = 0x71;
  std::string address;  // As the source names it in its HELLO.

  static auto fields(auto& m) { return std::tie(m.address); }
  bool operator==(const Stream&) const = default;
};

// Source -> stage -> stage, over PUSH: a batch, and all that is needed to run it. Its payloads are the tasks' inputs
// or, behind the first stage, what the stage before made of them. The incarnation in the envelope is the source's.
struct Flow {
  static constexpr std::uint8_t type = 0x72;
  static constexpr std::uint64_t tasks_max = UINT32_MAX;  // A stage counts the tasks of a batch in 32 bits.

  std::string function;  // Of the first stage; those behind it know their own.
  std::vector<std::byte> constants;
  std::uint32_t constant_count = 0;
  IndexRule index;
  std::uint64_t timeout_nanoseconds = 0;
  std::string fold;  // For the last stage.
  IncarnationId sink;
  std::string results_address;  // For the last stage: its sink's PULL socket.
  LeaseId lease;
  Range range;
  std::uint64_t busy_nanoseconds = 0;  // What the stages so far needed for the range.
  std::vector<Failure> failures;       // Of the stages so far, in order of offset; these tasks only pass through.
  Seal seal;                           // Of a range that holds this one, for the last stage.
  PayloadView payloads;                // Not a field.

  static auto fields(auto& m) {
    return std::tie(m.function, m.constants, m.constant_count, m.index, m.timeout_nanoseconds, m.fold, m.sink,
                    m.results_address, m.lease, m.range, m.busy_nanoseconds, m.failures, m.seal);
  }
};

using Message = std::variant<Hello, Welcome, Refused, HelloAgain, Open, Opened, Route, Tasks, Part, Results, Stored,
                             Verdicts, Retract, Return, Cancel, Propose, Heartbeat, Progress, Milestones, Pace, End,
                             Closed, Close, Bye, Submit, Accepted, Offer, Complete, Served, Waiting, Fetch, Discard,
                             Inquire, Report, Explain, Explanation, Drain, Seek, Stream, Flow>;

}  // namespace ventile
