// A task function as the rest of Ventile sees it: something that runs the tasks of a batch, one after the other.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {

class TaskRun;

struct TaskTraits {
  bool repeatable = true;                // May run twice: a pure function may, a command that sends an invoice may not.
  bool ignores_extra_arguments = false;  // More values than parameters are no error.
  bool enforces_timeout = false;         // Ends by itself at TaskContext::deadline(): its slot is never abandoned.
  Duration claim = Duration::zero();     // What one claim of tasks should last; zero: as the slot has it.
};

// Registered once, run from many slots at once. There is one virtual call for a whole run of tasks; the loop over the
// tasks is inside, so that the user's function is inlined into it.
class TaskFunction {
public:
  explicit TaskFunction(TaskTraits traits) : traits_(traits) {}
  virtual ~TaskFunction() = default;
  TaskFunction(const TaskFunction&) = delete;
  TaskFunction& operator=(const TaskFunction&) = delete;

  // Calls run.next() until it says that there is no more, and for each task either run.finish(result) or
  // run.fail(…), once. May throw instead: TaskRun turns that into the current task's failure and calls again.
  virtual void run(TaskRun& run) const = 0;

  const TaskTraits& traits() const { return traits_; }

private:
  TaskTraits traits_;
};

// What a task throws to name the kind of its failure; the message is what(). Any other exception fails the task too:
// its kind is then the name of its type.
class TaskFailure : public std::runtime_error {
public:
  TaskFailure(std::string kind, const std::string& message) : std::runtime_error(message), kind_(std::move(kind)) {}
  // `detail` is any value that can be packed; it travels with the failure to the sink.
  template <class Detail>
  TaskFailure(std::string kind, const std::string& message, const Detail& detail)
      : TaskFailure(std::move(kind), message) {
    const Buffer packed = pack_to_buffer(detail);
    detail_.assign(packed.data(), packed.data() + packed.size());
  }

  const std::string& kind() const { return kind_; }
  Bytes detail() const { return detail_; }  // One packed value, or empty.

private:
  std::string kind_;
  std::vector<std::byte> detail_;
};

// As its only parameter (after an optional TaskContext), lets a function read its input itself: the job's constants,
// then the task's own values, each a run of msgpack values. Views that end with the call.
struct PackedArguments {
  Bytes constants;
  Bytes payload;

  // All values in order. Throws TaskFailure of kind "arguments" if the bytes are not msgpack.
  std::vector<Bytes> values() const;
};

// As its result, lets a function give a value that is packed already. It must be exactly one msgpack value.
class Packed {
public:
  explicit Packed(Buffer owned) : owned_(std::move(owned)), bytes_(owned_.bytes()) {}
  // Bytes that outlive the call, such as those of PackedArguments.
  static Packed view(Bytes bytes) { return Packed{bytes}; }

  Bytes bytes() const { return bytes_; }

private:
  explicit Packed(Bytes bytes) : bytes_(bytes) {}

  Buffer owned_;
  Bytes bytes_;
};

template <>
struct Convert<Packed> {
  static void pack(Packer& packer, const Packed& value) {
    Unpacker unpacker{value.bytes()};
    if (!unpacker.skip() || !unpacker.at_end())
      throw TaskFailure("result", "the function's packed result is not exactly one msgpack value");
    packer.append_packed(value.bytes());
  }
};

// Why a task failed, as it travels to the sink. Views.
struct FailureText {
  std::string_view kind;     // One word, for people and programs to group failures by.
  std::string_view message;  // One sentence.
  Bytes detail;              // One packed value, or empty.
};

// Appends the payload of a failed task: a map of "kind", "message" and, unless empty, "detail".
void pack_error(Packer& packer, const FailureText& error);

// What pack_error() wrote, as views of the payload; what is not there, or is not what it should be, stays empty.
FailureText read_error(Bytes payload);

// The error with what is too long shortened (kind, message) or left out (detail), so that it packs into `bytes_max`
// bytes, of which there must be at least 1,024.
FailureText shortened(FailureText error, std::size_t bytes_max);

}  // namespace ventile
