// What workers can run, remembered once for all who can run the same.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace ventile {

// Name -> whether a task of it may be run again when it had begun.
using FunctionSet = std::map<std::string, bool, std::less<>>;

// Ten thousand workers offer the same functions: whoever decides on them in turn finds them in the cache. Not for
// several threads. Must outlive what it has given out.
class FunctionSets {
public:
  FunctionSets() = default;
  FunctionSets(const FunctionSets&) = delete;
  FunctionSets& operator=(const FunctionSets&) = delete;

  // The one set with these contents, which lasts as long as somebody has it.
  std::shared_ptr<const FunctionSet> share(FunctionSet functions);

  std::size_t size() const { return known_.size(); }

private:
  struct ByContents {
    bool operator()(const FunctionSet* a, const FunctionSet* b) const { return *a < *b; }
  };
  std::map<const FunctionSet*, std::weak_ptr<const FunctionSet>, ByContents> known_;
};

}  // namespace ventile
