#include "tests/support/random_message.hpp"

#include <algorithm>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ventile::testing {
namespace {

constexpr std::uint64_t list_max = 5;

// As often a small number as one of any size: each has its own form in msgpack.
std::uint64_t number(Random& random) { return random.next() >> random.below(64); }

std::uint64_t last_of(Role) { return static_cast<std::uint64_t>(Role::client); }
std::uint64_t last_of(Refusal) { return static_cast<std::uint64_t>(Refusal::unauthorized); }
std::uint64_t last_of(Verdict) { return static_cast<std::uint64_t>(Verdict::refused); }
std::uint64_t last_of(ReturnReason) { return static_cast<std::uint64_t>(ReturnReason::stopped); }
std::uint64_t last_of(ByeReason) { return static_cast<std::uint64_t>(ByeReason::failed); }
std::uint64_t last_of(Outcome) { return outcome_count - 1; }

Outcome bad_outcome(Random& random) { return static_cast<Outcome>(random.between(1, outcome_count - 1)); }

template <std::integral T>
void fill(T& value, Random& random) {
  value = static_cast<T>(number(random));
}
void fill(bool& value, Random& random) { value = random.chance(0.5); }
void fill(std::byte& value, Random& random) { value = static_cast<std::byte>(random.next()); }
template <class T>
requires std::is_enum_v<T>
void fill(T& value, Random& random) { value = static_cast<T>(random.between(0, last_of(value))); }
void fill(std::string& text, Random& random) {
  text.resize(random.below(40));
  for (char& c : text) c = static_cast<char>(random.next());
}
void fill(Text& text, Random& random) {
  std::string filled;
  fill(filled, random);
  text = filled;
}
template <class Tag>
void fill(Id<Tag>& id, Random& random) {
  id.value = number(random);
}
template <class Tag>
void fill(WideId<Tag>& id, Random& random) {
  id = {number(random), number(random)};
}
void fill(LeaseId& lease, Random& random) { lease = {{number(random)}, number(random)}; }
void fill(Range& range, Random& random) {
  range.first = number(random);
  range.count = random.below(UINT64_MAX - range.first) >> random.below(64);
}
template <class T, std::size_t size>
void fill(std::array<T, size>& values, Random& random) {
  for (T& value : values) fill(value, random);
}
template <class T>
void fill(std::vector<T>& values, Random& random);
template <class T>
requires requires(T value) { T::fields(value); }
void fill(T& value, Random& random) {
  std::apply([&random](auto&... field) { (fill(field, random), ...); }, T::fields(value));
}
template <class T>
void fill(std::vector<T>& values, Random& random) {
  values.resize(random.below(list_max + 1));
  for (T& value : values) fill(value, random);
}

// --- What the codec asks of a message beyond the types of its fields ---

void write_payloads(std::uint64_t count, PayloadWriter& payloads, Random& random) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string text;
    fill(text, random);
    payloads.append(as_bytes(text));
  }
}

void make_fit(auto&, PayloadWriter&, Random&) {}
void make_fit(Tasks& tasks, PayloadWriter& payloads, Random& random) {
  if (random.chance(0.2)) return;  // An index job's.
  tasks.range = {number(random) / 2, random.between(1, 20)};
  write_payloads(tasks.range.count, payloads, random);
}
void make_fit(Part& part, PayloadWriter& payloads, Random& random) {
  payloads.append(as_bytes(std::string(random.between(1, 40), 'p')));
  part.offset /= 4;
  part.total = part.offset + payloads.size() + random.below(1000);
}
void make_fit(Results& results, PayloadWriter& payloads, Random& random) {
  results.range = {number(random) / 2, random.between(1, 20)};
  results.failures.clear();
  write_payloads(results.folded ? 1 : results.range.count, payloads, random);
  for (std::uint32_t offset = 0; !results.folded && offset < results.range.count; ++offset)
    if (random.chance(0.1)) results.failures.push_back({offset, bad_outcome(random)});
}
void make_fit(Offer& offer, PayloadWriter& payloads, Random& random) {
  offer.range = {number(random) / 2, random.between(1, 20)};
  if (random.chance(0.8)) write_payloads(offer.range.count, payloads, random);
}
void make_fit(Milestones& said, PayloadWriter&, Random&) {
  for (Milestone& milestone : said.milestones) {
    milestone.permille %= Milestone::permille_max + 1;
    std::replace_if(milestone.text.begin(), milestone.text.end(), is_control, ' ');
  }
}
void make_fit(Submit& submit, PayloadWriter&, Random& random) {
  for (RangeOutcome& exception : submit.exceptions) exception.outcome = bad_outcome(random);
}
void make_fit(Flow& flow, PayloadWriter& payloads, Random& random) {
  flow.range = {number(random) / 2, random.between(1, 20)};
  flow.failures.clear();
  if (flow.index.enabled) return;
  write_payloads(flow.range.count, payloads, random);
  for (std::uint32_t offset = 0; offset < flow.range.count; ++offset)
    if (random.chance(0.1)) flow.failures.push_back({offset, bad_outcome(random)});
}
void make_fit(Opened& opened, PayloadWriter&, Random& random) {
  for (RangeOutcome& exception : opened.exceptions) exception.outcome = bad_outcome(random);
}
void make_fit(Stored& stored, PayloadWriter&, Random& random) {
  for (Settlement& settlement : stored.settlements) {
    settlement.range = {number(random) / 2, random.between(5, 100)};
    Number next = settlement.range.first;
    for (FailureNote& note : settlement.failures) {
      note.outcome = bad_outcome(random);
      note.range = {next, 1};
      next += random.between(1, settlement.range.count / list_max);
    }
  }
}

template <class M>
Outgoing draw(Random& random) {
  Outgoing outgoing;
  M message;
  fill(message, random);
  make_fit(message, outgoing.payloads, random);
  outgoing.message = message;
  fill(outgoing.envelope.job, random);
  fill(outgoing.envelope.incarnation, random);
  fill(outgoing.envelope.session, random);
  outgoing.envelope.sequence = number(random);
  return outgoing;
}

template <std::size_t... I>
Outgoing draw(std::size_t type, Random& random, std::index_sequence<I...>) {
  using Draw = Outgoing (*)(Random&);
  static constexpr std::array<Draw, sizeof...(I)> draws{draw<std::variant_alternative_t<I, Message>>...};
  return draws.at(type)(random);
}

}  // namespace

Outgoing random_message(std::size_t type, Random& random) {
  return draw(type, random, std::make_index_sequence<message_types>{});
}

}  // namespace ventile::testing
