// This program once more, as one role of a benchmark.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace ventile::bench {

class Child {
public:
  // Runs `program --role WORDS…`. Words must need no quoting.
  explicit Child(const std::vector<std::string>& words);
  ~Child();  // Waits for its end.
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line that it prints; waits for it. Throws std::runtime_error if it has ended instead.
  std::string line();

private:
  std::FILE* output_;
};

}  // namespace ventile::bench
