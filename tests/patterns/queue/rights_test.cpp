// The table of rights.hpp, cell by cell.
#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ventile/queue/rights.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

Hello hello(Role role) {
  Hello message;
  message.role = role;
  return message;
}

// The names of all messages that such a key may say; HELLO is looked at by itself.
template <std::size_t... types>
std::set<std::string> sayable(KeyRole key, std::index_sequence<types...>) {
  std::set<std::string> names;
  const auto try_one = [&](const Message& message) {
    if (!std::holds_alternative<Hello>(message) && objection_to(key, message).empty()) names.insert(name_of(message));
  };
  (try_one(std::variant_alternative_t<types, Message>{}), ...);
  return names;
}
std::set<std::string> sayable(KeyRole key) {
  return sayable(key, std::make_index_sequence<std::variant_size_v<Message>>{});
}

using Names = std::set<std::string>;

template <std::size_t... types>
Names names_of_all(std::index_sequence<types...>) {
  return {name_of(Message{std::variant_alternative_t<types, Message>{}})...};
}

TEST(Rights, a_worker_works_and_cannot_submit_cancel_acknowledge_or_drain) {
  EXPECT_EQ(sayable(KeyRole::worker),
            (Names{"BYE", "HEARTBEAT", "MILESTONES", "PART", "PROGRESS", "RESULTS", "RETURN", "SEEK", "WAITING"}));
}

TEST(Rights, a_sink_acknowledges_and_cannot_submit) {
  EXPECT_EQ(sayable(KeyRole::sink), (Names{"BYE", "CLOSED", "HEARTBEAT", "OPENED", "PART", "STORED"}));
}

TEST(Rights, a_client_submits_and_takes_its_results_and_cannot_drain) {
  EXPECT_EQ(sayable(KeyRole::client), (Names{"BYE", "CLOSED", "COMPLETE", "DISCARD", "EXPLAIN", "FETCH", "HEARTBEAT",
                                             "INQUIRE", "OFFER", "PART", "STORED", "SUBMIT"}));
}

TEST(Rights, an_admin_asks_and_drains_and_cannot_submit) {
  EXPECT_EQ(sayable(KeyRole::admin), (Names{"BYE", "DISCARD", "DRAIN", "EXPLAIN", "HEARTBEAT", "INQUIRE", "PART"}));
}

TEST(Rights, a_dispatcher_asks_itself_and_streams_its_tasks_and_gives_no_results) {
  EXPECT_EQ(sayable(KeyRole::dispatcher),
            (Names{"BYE", "EXPLAIN", "HEARTBEAT", "INQUIRE", "PART", "PROGRESS", "RETURN"}));
}

// A new message is refused to all until somebody has thought of who may say it.
TEST(Rights, what_no_key_may_say_is_said_by_dispatchers_or_in_streams_only) {
  Names somebody{"HELLO"};
  const Names all = names_of_all(std::make_index_sequence<std::variant_size_v<Message>>{});
  for (const KeyRole key : {KeyRole::worker, KeyRole::sink, KeyRole::client, KeyRole::admin, KeyRole::dispatcher})
    somebody.merge(sayable(key));
  Names rest;
  std::set_difference(all.begin(), all.end(), somebody.begin(), somebody.end(), std::inserter(rest, rest.end()));
  EXPECT_EQ(rest, (Names{"ACCEPTED", "CANCEL", "CLOSE", "END", "EXPLANATION", "FLOW", "HELLO-AGAIN", "OPEN", "PACE",
                         "PROPOSE", "REFUSED", "REPORT", "RETRACT", "ROUTE", "SERVED", "STREAM", "TASKS", "VERDICTS",
                         "WELCOME"}));
}

TEST(Rights, nobody_introduces_itself_as_what_its_key_is_not) {
  const std::map<KeyRole, std::set<Role>> roles{{KeyRole::worker, {Role::worker}},
                                                {KeyRole::sink, {Role::sink}},
                                                {KeyRole::client, {Role::client}},
                                                {KeyRole::admin, {Role::client}},
                                                {KeyRole::dispatcher, {Role::client, Role::worker}}};
  for (const auto& [key, own] : roles)
    for (const Role role : {Role::worker, Role::sink, Role::client})
      EXPECT_EQ(objection_to(key, hello(role)).empty(), own.contains(role))
          << to_string(key) << " as " << static_cast<int>(role);
}

TEST(Rights, an_objection_names_the_key_and_the_message) {
  EXPECT_EQ(objection_to(KeyRole::worker, Drain{}), "its key is that of a worker, which may not say DRAIN");
  EXPECT_EQ(objection_to(KeyRole::worker, hello(Role::sink)),
            "its key is that of a worker, and it introduces itself as a sink");
}

}  // namespace
}  // namespace ventile
