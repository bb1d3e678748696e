// A map of which there is nearly always one entry.
#pragma once

#include <cstddef>
#include <map>
#include <utility>

namespace ventile {

// The first entry is in the object itself, so that who looks it up touches nothing else; more are in a std::map. An
// entry stays where it is until it is erased, and a key that is Key{} stands for none. A value; not thread-safe.
template <class Key, class Value>
class LittleMap {
public:
  // Null: there is none.
  Value* find(const Key& key) {
    if (key == key_) return &value_;
    if (more_.empty()) return nullptr;
    const auto found = more_.find(key);
    return found == more_.end() ? nullptr : &found->second;
  }
  bool contains(const Key& key) const { return key == key_ || more_.contains(key); }

  // The value of the key, and whether it is new: then it is Value{}.
  std::pair<Value*, bool> emplace(const Key& key) {
    if (Value* const found = find(key); found != nullptr) return {found, false};
    if (!(key_ == Key{})) return {&more_[key], true};
    key_ = key;
    value_ = {};
    return {&value_, true};
  }

  bool erase(const Key& key) {
    if (!(key == key_)) return more_.erase(key) > 0;
    key_ = {};
    return true;
  }

private:
  Key key_{};
  Value value_{};
  std::map<Key, Value> more_;
};

}  // namespace ventile
