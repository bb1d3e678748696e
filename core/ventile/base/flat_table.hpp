// Finds objects by their keys, with one cache line touched where a chained hash table touches three.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace ventile {

// A hash of what was counted up: those that follow each other are neighbours, with a gap behind each, so that whoever
// is left over from an earlier round of the table finds room beside them. (Without gaps he pushed on everybody behind
// him: a thousand of those made a search a thousand steps.)
constexpr std::size_t hash_of_counted(std::uint64_t number) { return 2 * number; }

// Keys and pointers to objects that are somebody else's. Open addressing with linear probing, in which whoever is
// farther from home goes first (Celis, Larson, Munro: Robin Hood Hashing, FOCS 1985), so that a search ends where its
// key would be, and a removal moves up no more than stands in a wrong place. At most half of the slots are in use.
//
// Of keys that strangers choose the hash should be one that they cannot know, or their number be small. Not
// thread-safe.
template <class Key, class T, class Hash = std::hash<Key>>
class FlatIndex {
public:
  // Null: there is none.
  T* find(const Key& key) const {
    if (size_ == 0) return nullptr;
    for (std::size_t at = home_of(key), distance = 0;; at = next(at), ++distance) {
      const Slot& slot = slots_[at];
      if (slot.object == nullptr || distance_of(slot, at) < distance) return nullptr;
      if (slot.key == key) return slot.object;
    }
  }

  // The key has none yet.
  void insert(const Key& key, T& object) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    ++size_;
    if (place({key, &object}) > far && slots_.size() < sparse * size_) grow();
  }

  // Returns what it was the key of; null if there was none.
  T* erase(const Key& key) {
    if (size_ == 0) return nullptr;
    std::size_t at = home_of(key);
    for (std::size_t distance = 0; !(slots_[at].key == key); at = next(at), ++distance)
      if (slots_[at].object == nullptr || distance_of(slots_[at], at) < distance) return nullptr;
    T* const object = slots_[at].object;
    if (object == nullptr) return nullptr;
    for (std::size_t from = next(at); slots_[from].object != nullptr && distance_of(slots_[from], from) > 0;
         at = from, from = next(from))
      slots_[at] = slots_[from];
    slots_[at] = {};
    --size_;
    return object;
  }

  std::size_t size() const { return size_; }

  // Calls call(object) for each, in no order that means anything.
  template <class Call>
  void for_each(Call call) const {
    for (const Slot& slot : slots_)
      if (slot.object != nullptr) call(*slot.object);
  }

  // Asks for the cache line in which the key will be looked up.
  void fetch_ahead(const Key& key) const {
    if (size_ > 0) __builtin_prefetch(&slots_[home_of(key)]);
  }

private:
  static constexpr std::size_t smallest = 16;
  static constexpr std::size_t far = 64;     // From home. Then there is more room, unless
  static constexpr std::size_t sparse = 32;  // there is so much for each already.

  struct Slot {
    Key key;
    T* object = nullptr;
  };

  std::vector<Slot> slots_;  // None, or a power of two.
  std::size_t size_ = 0;

  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  std::size_t home_of(const Key& key) const { return Hash{}(key)&mask(); }
  std::size_t distance_of(const Slot& slot, std::size_t at) const { return (at - home_of(slot.key)) & mask(); }

  // Returns how far from home whoever had to go farthest is now.
  std::size_t place(Slot slot) {
    std::size_t farthest = 0;
    for (std::size_t at = home_of(slot.key), distance = 0;; at = next(at), ++distance) {
      farthest = std::max(farthest, distance);
      if (slots_[at].object == nullptr) {
        slots_[at] = slot;
        return farthest;
      }
      if (const std::size_t other = distance_of(slots_[at], at); other < distance) {
        std::swap(slot, slots_[at]);
        distance = other;
      }
    }
  }

  void grow() {
    const std::vector<Slot> before = std::exchange(slots_, std::vector<Slot>(std::max(2 * slots_.size(), smallest)));
    for (const Slot& slot : before)
      if (slot.object != nullptr) place(slot);
  }
};

// Objects that are found by their keys and stay where they are until they are erased. Places that have become free are
// used again, the last one first, while it is still in the cache. Not thread-safe.
template <class Key, class T, class Hash = std::hash<Key>>
class FlatTable {
public:
  FlatTable() = default;
  FlatTable(const FlatTable&) = delete;
  FlatTable& operator=(const FlatTable&) = delete;

  T* find(const Key& key) { return index_.find(key); }  // Null: there is none.
  const T* find(const Key& key) const { return index_.find(key); }

  // The object of that key, and whether it is new: then it is as T{} is.
  std::pair<T*, bool> emplace(const Key& key) {
    if (T* const found = index_.find(key); found != nullptr) return {found, false};
    if (free_.empty()) add_block();
    T* const object = free_.back();
    free_.pop_back();
    index_.insert(key, *object);
    return {object, true};
  }

  void erase(const Key& key) {
    T* const object = index_.erase(key);
    if (object == nullptr) return;
    *object = {};
    free_.push_back(object);
  }

  std::size_t size() const { return index_.size(); }

  template <class Call>
  void for_each(Call call) const {
    index_.for_each([&call](const T& object) { call(object); });
  }

  void fetch_ahead(const Key& key) const { index_.fetch_ahead(key); }

private:
  static constexpr std::size_t least = 2;
  static constexpr std::size_t most = 256;

  std::vector<std::unique_ptr<T[]>> blocks_;  // Each as large as all before it, within these limits: neighbours are
                                              // what a processor fetches by itself.
  std::vector<T*> free_;                      // In them. The last one is used next.
  FlatIndex<Key, T, Hash> index_;

  void add_block() {
    const std::size_t count = std::clamp(index_.size(), least, most);
    T* const objects = blocks_.emplace_back(std::make_unique<T[]>(count)).get();
    for (std::size_t i = count; i-- > 0;) free_.push_back(objects + i);
  }
};

}  // namespace ventile
