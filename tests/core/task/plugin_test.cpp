#include <ventile/task/plugin.hpp>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/fixture.hpp"

namespace ventile {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::filesystem::path plugin(const std::string& name) {
  return std::filesystem::path{TEST_PLUGINS} / ("plugin_" + name + ".so");
}

std::shared_ptr<TaskJob> job_of_plugin(const TaskRegistry& registry, const std::string& function) {
  auto job = std::make_shared<TaskJob>();
  job->function = registry.find(function);
  return job;
}

struct GoodPlugin : testing::Test {
  TaskRegistry registry;
  Result<Plugin> loaded = load_plugin(plugin("good"), registry);
};

TEST_F(GoodPlugin, registers_its_functions_and_folds) {
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->functions, ElementsAre("plugin.add", "plugin.fail", "plugin.list", "plugin.throw"));
  EXPECT_THAT(loaded->folds, ElementsAre("plugin.append"));
  EXPECT_EQ(registry.names(), loaded->functions);
}

TEST_F(GoodPlugin, its_functions_run) {
  EXPECT_EQ(RunHere{}.value<int>(Payloads{}.task(40, 2).batch(job_of_plugin(registry, "plugin.add"))), 42);
}

TEST_F(GoodPlugin, its_exceptions_are_told_apart_across_the_boundary) {
  const auto failure = RunHere{}.error(Payloads{}.raw({}).batch(job_of_plugin(registry, "plugin.fail"), 7));
  EXPECT_EQ(failure.kind, "plugin");
  EXPECT_EQ(failure.message, "task 7");
  const auto exception = RunHere{}.error(Payloads{}.raw({}).batch(job_of_plugin(registry, "plugin.throw")));
  EXPECT_EQ(exception.kind, "std::out_of_range");
}

TEST_F(GoodPlugin, its_folds_take_its_results) {
  auto job = job_of_plugin(registry, "plugin.list");
  job->index.enabled = true;
  job->fold = registry.find_fold("plugin.append");
  const Finished all = RunHere{}.finished(index_batch(job, {0, 3}));
  EXPECT_TRUE(all.folded);
  EXPECT_EQ(*unpack_from<std::vector<int>>(payload_of(all, 0)), (std::vector{0, 1, 2}));
}

// The error of a plugin that must not load; it must name the file.
Error refused(const std::filesystem::path& path, TaskRegistry& registry) {
  const Result<Plugin> loaded = load_plugin(path, registry);
  if (loaded) return {Code::failed, "it was loaded"};
  EXPECT_THAT(loaded.error().message, HasSubstr("plugin " + path.string() + ": "));
  return loaded.error();
}

TEST(Plugin, a_file_that_is_not_there_is_named) {
  TaskRegistry registry;
  const Error error = refused(plugin("missing"), registry);
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_THAT(error.message, HasSubstr("cannot open shared object file"));
}

TEST(Plugin, a_file_that_is_no_library_is_refused) {
  const std::filesystem::path path = testing::TempDir() + "text.so";
  std::ofstream{path} << "just text";
  TaskRegistry registry;
  EXPECT_EQ(refused(path, registry).code, Code::unavailable);
}

TEST(Plugin, a_library_without_the_entry_point_is_refused) {
  TaskRegistry registry;
  const Error error = refused(plugin("none"), registry);
  EXPECT_EQ(error.code, Code::invalid);
  EXPECT_THAT(error.message, HasSubstr("not a Ventile plugin: it lacks ventile_plugin_abi"));
}

TEST(Plugin, another_abi_is_refused_and_both_are_named) {
  TaskRegistry registry;
  EXPECT_THAT(refused(plugin("foreign"), registry).message,
              AllOf(HasSubstr("ventile-plugin 0, from another world"), HasSubstr(VENTILE_PLUGIN_ABI)));
}

TEST(Plugin, a_registration_that_throws_adds_nothing) {
  TaskRegistry registry;
  EXPECT_THAT(refused(plugin("throwing"), registry).message, HasSubstr("registration failed: no licence"));
  EXPECT_THAT(registry.names(), IsEmpty());
}

TEST(Plugin, a_name_that_is_taken_is_named_and_nothing_is_added) {
  TaskRegistry registry;
  registry.add("taken", [] {});
  EXPECT_THAT(refused(plugin("clashing"), registry).message,
              HasSubstr("a function named 'taken' is already registered"));
  EXPECT_THAT(registry.names(), ElementsAre("taken"));
}

}  // namespace
}  // namespace ventile
