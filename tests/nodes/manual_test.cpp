// The manual pages of the roles name the options that their help names: all of them, and no others.
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nodes/role_tables.hpp>

namespace ventile {
namespace {

using testing::ElementsAreArray;

// The options that have an entry of their own in the page, as "--slots, -j".
std::set<std::string> options_of_page(const std::string& name) {
  std::ifstream file(std::string{VENTILE_MANUALS} + "/" + name + ".1");
  EXPECT_TRUE(file) << name;
  static const std::regex option(R"re(^\.BI?R? (?:-([a-z])\s*", "\s*)?--([a-z-]+))re");
  std::set<std::string> options;
  bool is_entry = false;
  for (std::string line; std::getline(file, line); is_entry = line == ".TP") {
    std::smatch found;
    if (!is_entry || !std::regex_search(line, found, option)) continue;
    EXPECT_TRUE(options.insert("--" + found[2].str() + (found[1].matched ? ", -" + found[1].str() : "")).second)
        << line;
  }
  return options;
}

// The help shows a flag that is on unless it is said as what turns it off.
std::set<std::string> options_of_table(const OptionTable& table) {
  std::set<std::string> options;
  for (const Option& option : table.options()) {
    const std::vector<std::string> shown = option.shown();
    const bool is_on = option.shape == Option::Shape::flag && !shown.empty() && shown.front() == "true";
    options.insert(std::string{is_on ? "--no-" : "--"} + option.name +
                   (option.letter != 0 ? std::string{", -"} + option.letter : ""));
  }
  return options;
}

template <class Command>
void expect_to_agree(const std::string& page) {
  Command command;
  EXPECT_THAT(options_of_page(page), ElementsAreArray(options_of_table(table_of(command)))) << page;
}

TEST(ManualTest, the_page_of_each_role_has_the_options_of_its_help) {
  expect_to_agree<VentilatorCommand>("ventile-ventilator");
  expect_to_agree<WorkerCommand>("ventile-worker");
  expect_to_agree<SinkCommand>("ventile-sink");
  expect_to_agree<BrokerCommand>("ventile-broker");
  expect_to_agree<UpCommand>("ventile-up");
}

TEST(ManualTest, so_have_the_pages_of_those_who_ask_and_measure) {
  expect_to_agree<AskCommand>("ventile-status");
  expect_to_agree<HealthCommand>("ventile-health");
  expect_to_agree<BenchCommand>("ventile-bench");
}

}  // namespace
}  // namespace ventile
