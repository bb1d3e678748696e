// Names for task functions and folds. There is no global one: main makes it and fills it, and so reads as the list of
// what its node can do.
//
//   TaskRegistry tasks;
//   auto area = tasks.add("area", [](double width, double height) { return width * height; });
//   tasks.add_fold<double>("sum", std::plus<>{});
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ventile/task/bound_function.hpp>
#include <ventile/task/fold.hpp>
#include <ventile/task/function.hpp>

namespace ventile {

// The name of a function and how to call it, for those who submit tasks.
template <class Signature>
struct Task;
template <class R, class... Parameters>
struct Task<R(Parameters...)> {
  using Result = std::remove_cvref_t<R>;
  std::string name;
};

// Fill it before anything runs, read it from any thread afterwards. Functions and folds are shared: they outlive the
// registry where a batch still needs them.
class TaskRegistry {
public:
  // Registers a function. Its parameters, but for an optional TaskContext in front, are what a task's input must
  // consist of: the job's constants, then the task's own values. Its result is packed; void is nil.
  // It is called from several slots at once. Throws std::invalid_argument if the name is taken.
  template <class F>
  auto add(std::string name, F&& function, TaskTraits traits = {}) {
    if constexpr (detail::check_shape<F>()) {
      using S = typename detail::ShapeOfCallable<F>::type;
      insert(name, std::make_shared<detail::BoundFunction<std::decay_t<F>, S>>(std::forward<F>(function), traits));
      return Task<typename S::Signature>{std::move(name)};
    }
  }

  // Registers a fold: `combine` is T(T, T) or void(T&, T), associative and commutative. If it throws, it must leave
  // its first argument as it was. Throws std::invalid_argument if the name is taken.
  template <class T, class Combine>
  void add_fold(std::string name, Combine combine) {
    add_fold<T>(std::move(name), std::move(combine), detail::NoLift{});
  }
  // `lift` makes a T of one task's packed result, where results are not of type T themselves: T(Bytes).
  template <class T, class Combine, class Lift>
  void add_fold(std::string name, Combine combine, Lift lift) {
    static_assert(std::is_invocable_v<const Combine&, T, T> || std::is_invocable_v<const Combine&, T&, T>,
                  "A Ventile fold is combined by T(T, T) or by void(T&, T).");
    insert(std::make_shared<detail::BoundFold<T, Combine, Lift>>(std::move(name), std::move(combine), std::move(lift)));
  }

  // Null if there is none of that name.
  std::shared_ptr<const TaskFunction> find(std::string_view name) const;
  std::shared_ptr<const FoldFunction> find_fold(std::string_view name) const;

  std::vector<std::string> names() const;  // Sorted.
  std::vector<std::string> fold_names() const;

  // Puts what `wrap` makes of each function in its place: something that runs it in another way.
  using Wrap = std::function<std::shared_ptr<const TaskFunction>(const std::string& name,
                                                                 std::shared_ptr<const TaskFunction> function)>;
  void wrap_all(const Wrap& wrap);

  // Takes everything from `other`, or throws std::invalid_argument and takes nothing.
  void merge(TaskRegistry&& other);

private:
  std::map<std::string, std::shared_ptr<const TaskFunction>, std::less<>> functions_;
  std::map<std::string, std::shared_ptr<const FoldFunction>, std::less<>> folds_;

  void insert(const std::string& name, std::shared_ptr<const TaskFunction> function);
  void insert(std::shared_ptr<const FoldFunction> fold);
};

}  // namespace ventile
