// Makes a TaskFunction of any callable: decodes each task's input straight into its parameters and packs its result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <ventile/task/context.hpp>
#include <ventile/task/function.hpp>
#include <ventile/task/run.hpp>

namespace ventile::detail {

// --- The shape of a callable -------------------------------------------------------------------------------------

template <class R, class... Parameters>
struct Shape {
  using Result = R;
  using Values = std::tuple<std::remove_cvref_t<Parameters>...>;
  static constexpr bool takes_context = false;
  static constexpr bool writes_parameters =
      ((std::is_lvalue_reference_v<Parameters> && !std::is_const_v<std::remove_reference_t<Parameters>>) || ...);
  using Signature = R(Parameters...);
};
template <class R, class... Parameters>
struct Shape<R, TaskContext, Parameters...> : Shape<R, Parameters...> {
  static constexpr bool takes_context = true;
};
template <class R, class... Parameters>
struct Shape<R, const TaskContext&, Parameters...> : Shape<R, TaskContext, Parameters...> {};
template <class R, class... Parameters>
struct Shape<R, TaskContext&, Parameters...> : Shape<R, TaskContext, Parameters...> {};

template <class F>
struct ShapeOf {};  // No member: nothing is known about how to call it.
template <class R, class... P>
struct ShapeOf<R (*)(P...)> {
  using type = Shape<R, P...>;
};
template <class R, class... P>
struct ShapeOf<R (*)(P...) noexcept> {
  using type = Shape<R, P...>;
};
template <class C, class R, class... P>
struct ShapeOf<R (C::*)(P...) const> {
  using type = Shape<R, P...>;
};
template <class C, class R, class... P>
struct ShapeOf<R (C::*)(P...) const noexcept> {
  using type = Shape<R, P...>;
};

template <class F>
auto call_operator() {
  if constexpr (requires { &F::operator(); }) {
    return ShapeOf<decltype(&F::operator())>{};
  } else {
    return ShapeOf<F>{};
  }
}
template <class F>
using ShapeOfCallable = decltype(call_operator<std::decay_t<F>>());

template <class F>
concept HasShape = requires {
  typename ShapeOfCallable<F>::type;
};

template <class Tuple>
struct AllUnpackable;
template <class... Values>
struct AllUnpackable<std::tuple<Values...>> : std::bool_constant<(Unpackable<Values> && ...)> {};

// --- Reading a task's input --------------------------------------------------------------------------------------

// Walks the values of a task: first the constants, then its own.
class ArgumentReader {
public:
  explicit ArgumentReader(const PackedArguments& arguments)
      : unpacker_(arguments.constants.empty() ? arguments.payload : arguments.constants),
        rest_(arguments.constants.empty() ? Bytes{} : arguments.payload) {}

  template <class T>
  bool read(T& value) {
    if (unpacker_.at_end() && !next_part()) return false;
    ++count_;
    return unpack_value(unpacker_, value);
  }
  bool at_end() { return unpacker_.at_end() && !next_part(); }

  // Says what is wrong after a read() that failed or, with values left, after all parameters were read.
  std::string complaint(std::size_t parameters);

private:
  Unpacker unpacker_;
  Bytes rest_;
  std::size_t count_ = 0;  // Values whose reading was tried.

  bool next_part() {
    if (rest_.empty()) return false;
    unpacker_ = Unpacker{std::exchange(rest_, {})};
    return true;
  }
};

// Fails the run's current task: its index does not fit into the function's parameter.
void fail_index(TaskRun& run);

// --- The function ------------------------------------------------------------------------------------------------

template <class F, class S>
class BoundFunction final : public TaskFunction {
public:
  BoundFunction(F function, TaskTraits traits) : TaskFunction(traits), function_(std::move(function)) {}

  void run(TaskRun& run) const override {
    if constexpr (std::is_same_v<Values, std::tuple<PackedArguments>>) {
      while (run.next()) call(run, std::tuple{run.arguments()});
    } else {
      if constexpr (takes_index) {
        if (run.only_index()) return run_index(run);
      }
      while (run.next()) run_packed(run);
    }
  }

private:
  using Values = typename S::Values;
  static constexpr std::size_t parameters = std::tuple_size_v<Values>;

  static constexpr bool takes_index = [] {
    if constexpr (parameters == 1) {
      using T = std::tuple_element_t<0, Values>;
      return std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
    }
    return false;
  }();

  F function_;

  void run_index(TaskRun& run) const {
    using T = std::tuple_element_t<0, Values>;
    while (run.next()) {
      const std::int64_t index = run.index();
      if constexpr (std::is_integral_v<T>) {
        if (!std::in_range<T>(index)) [[unlikely]] {
          fail_index(run);
          continue;
        }
      }
      call(run, std::tuple{static_cast<T>(index)});
    }
  }

  void run_packed(TaskRun& run) const {
    ArgumentReader reader{run.arguments()};
    Values values;
    const bool read = std::apply([&](auto&... value) { return (reader.read(value) && ...); }, values);
    if (!read || (!traits().ignores_extra_arguments && !reader.at_end())) [[unlikely]] {
      run.fail({"arguments", reader.complaint(parameters), {}});
    } else {
      call(run, std::move(values));
    }
  }

  void call(TaskRun& run, Values&& values) const {
    const auto invoke = [&](auto&&... value) -> decltype(auto) {
      if constexpr (S::takes_context) {
        TaskContext context{run};
        return std::invoke(function_, context, std::forward<decltype(value)>(value)...);
      } else {
        return std::invoke(function_, std::forward<decltype(value)>(value)...);
      }
    };
    if constexpr (std::is_void_v<typename S::Result>) {
      std::apply(invoke, std::move(values));
      run.finish(std::monostate{});
    } else {
      run.finish(std::apply(invoke, std::move(values)));
    }
  }
};

// Refuses, in words, what cannot be a task function.
template <class F>
consteval bool check_shape() {
  static_assert(HasShape<F>,
                "A Ventile task is a function, or an object with exactly one call operator that is const and not a "
                "template (no overloads, no auto parameters, no mutable lambda: it runs in several slots at once).");
  if constexpr (HasShape<F>) {
    using S = typename ShapeOfCallable<F>::type;
    static_assert(!S::writes_parameters, "A Ventile task takes its parameters by value or by const reference.");
    static_assert(
        std::is_same_v<typename S::Values, std::tuple<PackedArguments>> || AllUnpackable<typename S::Values>::value,
        "Ventile cannot unpack a parameter of this task: give its type fields() or specialise "
        "ventile::Convert.");
    static_assert(std::is_void_v<typename S::Result> || Packable<std::remove_cvref_t<typename S::Result>>,
                  "Ventile cannot pack the result of this task: give its type fields() or specialise "
                  "ventile::Convert.");
  }
  return HasShape<F>;
}

}  // namespace ventile::detail
