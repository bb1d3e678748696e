// PROTOCOL.md says what messages.hpp and the codec do. Its tables are compared with the code, its hexadecimal with the
// frames of one conversation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/wire/convert.hpp>
#include <ventile/wire/messages.hpp>

#include "tests/core/wire/conversation.hpp"

namespace ventile {
namespace {

using testing::annotated;
using testing::bytes_of_annotated;
using testing::conversation;
using testing::FieldNames;
using testing::Spoken;

std::string read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string& page() {
  static const std::string text = read(PROTOCOL_PAGE);
  return text;
}

// messages.hpp without its comments, and before it the one enumeration that it does not define.
const std::string& code() {
  static const std::string text = std::regex_replace(
      read(std::string(WIRE_SOURCES) + "/outcome.hpp") + read(std::string(WIRE_SOURCES) + "/messages.hpp"),
      std::regex("//[^\n]*"), "");
  return text;
}

std::vector<std::string> words_of(const std::string& text, const std::regex& word) {
  return {std::sregex_token_iterator(text.begin(), text.end(), word, 1), {}};
}

// --- What the code says --------------------------------------------------------------------------------------------

template <class T>
std::string type_name();

template <class T>
struct ListOf : std::false_type {};
template <class T>
struct ListOf<std::vector<T>> : std::true_type {
  static std::string name() { return "list of " + type_name<T>(); }
};

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_same_v<T, std::uint32_t>) return "u32";
  if constexpr (std::is_same_v<T, std::uint64_t>) return "u64";
  if constexpr (std::is_same_v<T, std::int64_t>) return "i64";
  if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, Text>) return "text";
  if constexpr (std::is_same_v<T, std::vector<std::byte>>) return "bytes";
  if constexpr (std::is_same_v<T, IncarnationId>) return "id";
  if constexpr (std::is_same_v<T, JobId> || std::is_same_v<T, NodeId> || std::is_same_v<T, SealCode> ||
                std::is_same_v<T, LifeId> || std::is_same_v<T, MachineId>)
    return "wide id";
  if constexpr (std::is_same_v<T, LeaseId>) return "lease id";
  if constexpr (std::is_same_v<T, Range>) return "range";
  if constexpr (std::is_same_v<T, std::array<std::uint64_t, 6>>) return "6 × u64";
  if constexpr (std::is_same_v<T, std::array<std::uint64_t, 7>>) return "7 × u64";
  if constexpr (std::is_same_v<T, Role>) return "Role";
  if constexpr (std::is_same_v<T, Refusal>) return "Refusal";
  if constexpr (std::is_same_v<T, Outcome>) return "Outcome";
  if constexpr (std::is_same_v<T, Verdict>) return "Verdict";
  if constexpr (std::is_same_v<T, ReturnReason>) return "ReturnReason";
  if constexpr (std::is_same_v<T, ByeReason>) return "ByeReason";
  if constexpr (std::is_same_v<T, FunctionOffer>) return "FunctionOffer";
  if constexpr (std::is_same_v<T, HeldRange>) return "HeldRange";
  if constexpr (std::is_same_v<T, Credit>) return "Credit";
  if constexpr (std::is_same_v<T, IndexRule>) return "IndexRule";
  if constexpr (std::is_same_v<T, SinkCredit>) return "SinkCredit";
  if constexpr (std::is_same_v<T, RangeOutcome>) return "RangeOutcome";
  if constexpr (std::is_same_v<T, Seal>) return "Seal";
  if constexpr (std::is_same_v<T, Failure>) return "Failure";
  if constexpr (std::is_same_v<T, FailureNote>) return "FailureNote";
  if constexpr (std::is_same_v<T, Settlement>) return "Settlement";
  if constexpr (std::is_same_v<T, VerdictNote>) return "VerdictNote";
  if constexpr (std::is_same_v<T, RunningLease>) return "RunningLease";
  if constexpr (std::is_same_v<T, ClientState>) return "ClientState";
  if constexpr (std::is_same_v<T, JobState>) return "JobState";
  if constexpr (std::is_same_v<T, WorkerState>) return "WorkerState";
  if constexpr (std::is_same_v<T, Milestone>) return "Milestone";
  if constexpr (ListOf<T>::value && !std::is_same_v<T, std::vector<std::byte>>) return ListOf<T>::name();
  return "a type without a name here";
}

struct Field {
  std::string of;  // The structure or message.
  std::string name;
  std::string type;
  bool operator==(const Field&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Field& field) {
    return out << field.of << '.' << field.name << ": " << field.type;
  }
};

// The names come from the text of messages.hpp, the types from the compiler.
template <class T>
std::vector<Field> fields_of(const std::string& structure, const std::string& shown_as) {
  const std::regex body("struct " + structure + R"( \{[^]*?std::tie\(([^)]*)\))");
  std::smatch found;
  EXPECT_TRUE(std::regex_search(code(), found, body)) << structure;
  const std::vector<std::string> names = words_of(found[1], std::regex(R"(m\.(\w+))"));
  std::vector<Field> fields;
  T value;
  std::apply(
      [&]<class... F>(const F&...) {
        EXPECT_EQ(names.size(), sizeof...(F)) << structure;
        auto name = names.begin();
        (fields.push_back({shown_as, *name++, type_name<F>()}), ...);
      },
      T::fields(value));
  return fields;
}

template <class... T>
std::vector<Field> fields_of_structures() {
  std::vector<Field> all;
  const auto add = [&all](const std::vector<Field>& fields) { all.insert(all.end(), fields.begin(), fields.end()); };
  (add(fields_of<T>(type_name<T>(), type_name<T>())), ...);
  return all;
}

// The structures' names in the order of the variant.
std::vector<std::string> message_structures() {
  std::smatch found;
  EXPECT_TRUE(std::regex_search(code(), found, std::regex(R"(using Message =\s+std::variant<([^>]*)>)")));
  return words_of(found[1], std::regex(R"((\w+))"));
}

template <class Visit, std::size_t... i>
void for_each_message(Visit visit, std::index_sequence<i...>) {
  const std::vector<std::string> structures = message_structures();
  ASSERT_EQ(structures.size(), sizeof...(i));
  (visit(std::variant_alternative_t<i, Message>{}, structures[i]), ...);
}
template <class Visit>
void for_each_message(Visit visit) {
  for_each_message(visit, std::make_index_sequence<std::variant_size_v<Message>>{});
}

FieldNames field_names() {
  FieldNames names;
  for_each_message([&]<class M>(const M& message, const std::string& structure) {
    std::vector<std::string>& of = names[name_of(Message{message})];
    M empty;
    if constexpr (std::tuple_size_v < decltype(M::fields(empty)) >> 0)
      for (const Field& field : fields_of<M>(structure, structure)) of.push_back(field.name);
  });
  return names;
}

// --- What the page says --------------------------------------------------------------------------------------------

using Row = std::vector<std::string>;

// The rows, without their heading, of the table below `<!-- checked: name -->`. An empty first cell means the one
// above.
std::vector<Row> table(const std::string& name) {
  std::istringstream lines(page().substr(page().find("<!-- checked: " + name + " -->")));
  std::string line;
  std::getline(lines, line);
  std::vector<Row> rows;
  while (std::getline(lines, line) && line.starts_with("|")) {
    Row row = words_of(line, std::regex(R"(\| *(.*?) *(?=\|))"));
    if (row[0].empty() && !rows.empty()) row[0] = rows.back()[0];
    rows.push_back(std::move(row));
  }
  EXPECT_GT(rows.size(), 2U) << "no table of " << name;
  rows.erase(rows.begin(), rows.begin() + 2);
  return rows;
}

std::vector<Field> fields_in(const std::string& name) {
  std::vector<Field> fields;
  for (const Row& row : table(name)) fields.push_back({row[0], row[1], row[2]});
  return fields;
}

std::vector<std::string> blocks() { return words_of(page(), std::regex("```hex\n([^`]*)```")); }

TEST(ProtocolDocument, names_every_message_with_its_code_in_order) {
  std::vector<Row> expected;
  for_each_message([&](const auto& message, const std::string&) {
    std::ostringstream type;
    type << "0x" << std::hex << (message.type >> 4) << (message.type & 15);
    expected.push_back({name_of(Message{message}), type.str()});
  });
  std::vector<Row> found;
  for (const Row& row : table("messages")) found.push_back({row[0], row[1]});
  EXPECT_EQ(found, expected);
}

TEST(ProtocolDocument, lists_every_field_of_every_message_with_its_type) {
  std::vector<Field> expected;
  for_each_message([&]<class M>(const M& message, const std::string& structure) {
    M empty;
    if constexpr (std::tuple_size_v < decltype(M::fields(empty)) >> 0)
      for (const Field& field : fields_of<M>(structure, name_of(Message{message}))) expected.push_back(field);
  });
  EXPECT_THAT(fields_in("fields"), ::testing::ElementsAreArray(expected));
}

TEST(ProtocolDocument, lists_every_field_of_every_structure_with_its_type) {
  const auto expected = fields_of_structures<FunctionOffer, Seal, HeldRange, Credit, IndexRule, SinkCredit,
                                             RangeOutcome, Failure, FailureNote, Settlement, VerdictNote, RunningLease,
                                             Milestone, ClientState, JobState, WorkerState>();
  EXPECT_THAT(fields_in("structures"), ::testing::ElementsAreArray(expected));
}

TEST(ProtocolDocument, explains_every_type_that_a_field_has) {
  std::vector<Field> fields = fields_in("fields");
  const std::vector<Field> inner = fields_in("structures");
  fields.insert(fields.end(), inner.begin(), inner.end());
  std::vector<std::string> known = {"bool", "u32",     "u64",      "i64",   "text",    "bytes",
                                    "id",   "wide id", "lease id", "range", "6 × u64", "7 × u64"};
  for (const Field& field : inner) known.push_back(field.of);
  for (const Row& row : table("enumerations")) known.push_back(row[0]);
  for (const Field& field : fields) {
    const std::string type = field.type.starts_with("list of ") ? field.type.substr(8) : field.type;
    EXPECT_THAT(known, ::testing::Contains(type)) << field;
  }
}

TEST(ProtocolDocument, gives_every_enumeration_its_values) {
  std::map<std::string, std::string> expected;
  const std::regex definition(R"(enum class (\w+) : std::uint8_t \{([^}]*)\})");
  for (std::sregex_iterator at(code().begin(), code().end(), definition), end; at != end; ++at) {
    std::string values;
    int number = 0;
    for (const std::string& name : words_of((*at)[2], std::regex(R"((\w+))")))
      values += (number == 0 ? "" : ", ") + std::to_string(number) + ' ' + name, ++number;
    expected[(*at)[1]] = values;
  }
  std::map<std::string, std::string> found;
  for (const Row& row : table("enumerations")) found[row[0]] = row[1];
  EXPECT_EQ(found, expected);
}

TEST(ProtocolDocument, shows_one_conversation_as_the_codec_writes_it) {
  const FieldNames names = field_names();
  const std::vector<Spoken> spoken = conversation();
  const std::vector<std::string> shown = blocks();
  ASSERT_EQ(shown.size(), spoken.size());
  for (std::size_t i = 0; i < spoken.size(); ++i)
    EXPECT_EQ(shown[i], annotated(spoken[i].frame, names)) << "block " << i + 1;
}

TEST(ProtocolDocument, shows_hexadecimal_that_means_what_is_written_beside_it) {
  const FieldNames names = field_names();
  for (const std::string& block : blocks()) {
    const Buffer frame = bytes_of_annotated(block);
    const Result<Received> received = decode(frame);
    ASSERT_TRUE(received) << received.error().message << '\n' << block;
    EXPECT_EQ(annotated(frame, names), block);
  }
}

TEST(ProtocolDocument, heads_each_frame_with_its_name_and_direction) {
  std::vector<std::string> expected;
  for (const Spoken& spoken : conversation())
    expected.push_back(std::to_string(expected.size() + 1) + ". " + name_of_type(type_of(spoken.frame)) + "**, " +
                       spoken.direction);
  EXPECT_THAT(words_of(page(), std::regex(R"(\*\*(\d+\. [^\n]*?)[.:][^\n]*\n\n```hex)")),
              ::testing::ElementsAreArray(expected));
}

}  // namespace
}  // namespace ventile
