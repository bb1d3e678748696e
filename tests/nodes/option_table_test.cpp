#include <nodes/option_table.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nodes/role_tables.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Every option of every role, by way of a function that is given each.
template <class Visit>
void for_each_option(Visit visit) {
  const auto visit_role = [&](auto options) {
    const OptionTable table = table_of(options);
    for (const Option& option : table.options()) visit(table, option);
  };
  visit_role(VentilatorCommand{});
  visit_role(WorkerCommand{});
  visit_role(SinkCommand{});
  visit_role(MapCommand{});
}

TEST(OptionTableTest, an_option_has_the_same_name_everywhere) {
  WorkerCommand options;
  const OptionTable table = table_of(options);
  const Option* const option = table.find("drain-timeout");
  ASSERT_NE(option, nullptr);
  EXPECT_EQ(option->flag_name(), "--drain-timeout");
  EXPECT_EQ(option->environment_name(), "VENTILE_DRAIN_TIMEOUT");
}

TEST(OptionTableTest, a_default_is_what_the_variable_holds) {
  WorkerCommand options;
  options.slots = 3;
  EXPECT_THAT(table_of(options).find("slots")->shown(), ElementsAre("3"));
  options.slots.reset();
  EXPECT_THAT(table_of(options).find("slots")->shown(), IsEmpty());
}

TEST(OptionTableTest, every_shown_value_is_accepted_back) {
  for_each_option([](const OptionTable& table, const Option& option) {
    const auto shown = option.shown();
    if (shown.empty()) return;
    EXPECT_TRUE(option.assign(shown)) << table.program() << " " << option.flag_name();
    EXPECT_EQ(option.shown(), shown) << table.program() << " " << option.flag_name();
  });
}

TEST(OptionTableTest, no_option_listens_to_a_variable_that_tasks_are_given) {
  const std::vector<std::string> given_to_tasks{"VENTILE_JOB", "VENTILE_TASK", "VENTILE_ATTEMPT", "VENTILE_WORKER",
                                                "VENTILE_SLOT"};
  for_each_option([&](const OptionTable&, const Option& option) {
    EXPECT_THAT(given_to_tasks, testing::Not(testing::Contains(option.environment_name())));
  });
}

TEST(OptionTableTest, a_separator_knows_its_escapes) {
  SinkCommand options;
  const OptionTable table = table_of(options);
  const Option& separator = *table.find("separator");
  EXPECT_THAT(separator.shown(), ElementsAre("\\n"));
  ASSERT_TRUE(separator.assign({"a\\t\\0\\\\"}));
  EXPECT_EQ(options.separator, std::string("a\t\0\\", 4));
  EXPECT_FALSE(separator.assign({"\\x"}));
  EXPECT_FALSE(separator.assign({"\\"}));
  ASSERT_TRUE(separator.assign({""}));
  EXPECT_EQ(options.separator, "");
}

TEST(OptionTableTest, none_takes_an_optional_duration_back) {
  VentilatorCommand options;
  options.failure.timeout = std::chrono::seconds{1};
  ASSERT_TRUE(table_of(options).find("timeout")->assign({"none"}));
  EXPECT_EQ(options.failure.timeout, std::nullopt);
}

TEST(OptionTableTest, the_nearest_name_is_found_unless_all_are_far) {
  const std::vector<std::string> names{"--slots", "--stay", "--connect"};
  EXPECT_EQ(nearest("--slot", names), "--slots");
  EXPECT_EQ(nearest("--conect", names), "--connect");
  EXPECT_EQ(nearest("--lsots", names), "--slots");
  EXPECT_EQ(nearest("--frobnicate", names), "");
  EXPECT_EQ(nearest("", names), "");
}

TEST(OptionTableTest, words_are_joined_as_in_a_sentence) {
  EXPECT_EQ(join_with_or({}), "");
  EXPECT_EQ(join_with_or({"a"}), "a");
  EXPECT_EQ(join_with_or({"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace ventile
