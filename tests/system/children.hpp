// The processes that a process under test starts.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace ventile {

// A process that is not ours to wait for, from now on, whatever becomes of its number.
class Witness {
public:
  explicit Witness(pid_t process);
  ~Witness();
  Witness(Witness&& other) noexcept;
  Witness& operator=(Witness&&) = delete;

  pid_t pid() const { return process_; }
  void signal(int number) const;
  bool sees_the_end() const;  // Waits for it; false at the guard.

private:
  pid_t process_;
  int descriptor_;
};

// Waits until a process has so many children, and all have become another program than it.
std::vector<Witness> children_of(pid_t parent, std::size_t count);

}  // namespace ventile
