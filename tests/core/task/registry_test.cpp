#include <ventile/task/registry.hpp>

#include <functional>
#include <stdexcept>
#include <type_traits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::ElementsAre;

int twice(int value) { return 2 * value; }

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(TaskRegistry, a_handle_carries_the_name_and_the_signature_without_the_context) {
  TaskRegistry registry;
  const auto handle = registry.add("twice", twice);
  EXPECT_EQ(handle.name, "twice");
  EXPECT_TRUE((std::is_same_v<decltype(handle), const Task<int(int)>>));
  const auto with_context = registry.add("context", [](const TaskContext&, std::string) { return 1.0; });
  EXPECT_TRUE((std::is_same_v<decltype(with_context), const Task<double(std::string)>>));
}

TEST(TaskRegistry, finds_what_was_added_and_nothing_else) {
  TaskRegistry registry;
  registry.add("twice", twice, {.repeatable = false});
  registry.add_fold<int>("sum", std::plus<>{});
  ASSERT_NE(registry.find("twice"), nullptr);
  EXPECT_FALSE(registry.find("twice")->traits().repeatable);
  EXPECT_EQ(registry.find("sum"), nullptr);
  ASSERT_NE(registry.find_fold("sum"), nullptr);
  EXPECT_EQ(registry.find_fold("sum")->name(), "sum");
  EXPECT_EQ(registry.find_fold("twice"), nullptr);
  EXPECT_THAT(registry.names(), ElementsAre("twice"));
  EXPECT_THAT(registry.fold_names(), ElementsAre("sum"));
}

TEST(TaskRegistry, a_name_added_twice_is_refused) {
  TaskRegistry registry;
  registry.add("twice", twice);
  registry.add_fold<int>("sum", std::plus<>{});
  EXPECT_EQ(message_of([&] { registry.add("twice", twice); }), "a function named 'twice' is already registered");
  EXPECT_EQ(message_of([&] { registry.add_fold<int>("sum", std::plus<>{}); }),
            "a fold named 'sum' is already registered");
}

TEST(TaskRegistry, merges_all_or_nothing) {
  TaskRegistry registry;
  registry.add("b", twice);
  TaskRegistry other;
  other.add("a", twice);
  other.add("b", twice);
  EXPECT_EQ(message_of([&] { registry.merge(std::move(other)); }), "a function named 'b' is already registered");
  EXPECT_THAT(registry.names(), ElementsAre("b"));
  TaskRegistry fine;
  fine.add("c", twice);
  fine.add_fold<int>("sum", std::plus<>{});
  registry.merge(std::move(fine));
  EXPECT_THAT(registry.names(), ElementsAre("b", "c"));
  EXPECT_THAT(registry.fold_names(), ElementsAre("sum"));
}

TEST(TaskRegistry, functions_outlive_it) {
  std::shared_ptr<const TaskFunction> function;
  {
    TaskRegistry registry;
    registry.add("twice", twice);
    function = registry.find("twice");
  }
  EXPECT_TRUE(function->traits().repeatable);
}

struct Functor {
  int operator()(int) const { return 1; }
};
struct Mutating {
  int operator()(int) { return 1; }
};
struct Overloaded {
  int operator()(int) const { return 1; }
  int operator()(double) const { return 1; }
};

TEST(TaskRegistry, knows_what_can_be_a_task) {
  const auto lambda = [](int) noexcept { return 1; };
  EXPECT_TRUE(detail::HasShape<decltype(lambda)>);
  EXPECT_TRUE(detail::HasShape<decltype(twice)>);
  EXPECT_TRUE(detail::HasShape<Functor>);
  EXPECT_TRUE(detail::HasShape<std::function<int(int)>>);
  const auto generic = [](auto value) { return value; };
  EXPECT_FALSE(detail::HasShape<decltype(generic)>);
  EXPECT_FALSE(detail::HasShape<Mutating>);
  EXPECT_FALSE(detail::HasShape<Overloaded>);
  EXPECT_FALSE(detail::HasShape<int>);
}

}  // namespace
}  // namespace ventile
