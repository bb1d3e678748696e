#include "memory_folder.hpp"

#include <algorithm>
#include <utility>

namespace ventile {
namespace {

constexpr std::size_t sector = 512;

Error full() { return {Code::overloaded, "no space left on this disk"}; }
Error broken() { return {Code::failed, "input/output error"}; }

}  // namespace

class MemoryFile : public File {
public:
  MemoryFile(MemoryDisk& disk, std::shared_ptr<MemoryDisk::Data> data) : disk_(disk), data_(std::move(data)) {}

  Status write(std::uint64_t offset, Bytes bytes) override {
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t growth = end > data_->bytes.size() ? end - data_->bytes.size() : 0;
    const bool last = disk_.power_goes();
    if (disk_.writes_fail_) return broken();
    if (growth > 0 && disk_.bytes() + growth > disk_.bytes_max_) return full();
    data_->bytes.resize(std::max<std::size_t>(data_->bytes.size(), end));
    std::copy(bytes.begin(), bytes.end(), data_->bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    if (last) throw MemoryDisk::PowerLoss{};
    return {};
  }
  Status sync() override {
    if (disk_.power_goes()) throw MemoryDisk::PowerLoss{};
    if (disk_.syncs_fail_) return broken();
    data_->synced = data_->bytes;
    return {};
  }
  Result<Buffer> read() override {
    Buffer bytes;
    bytes.append(data_->bytes);
    return bytes;
  }
  Result<Buffer> read(std::uint64_t offset, std::size_t size) override {
    const Bytes all{data_->bytes};
    const std::size_t begin = std::min<std::size_t>(offset, all.size());
    Buffer bytes;
    bytes.append(all.subspan(begin, std::min(size, all.size() - begin)));
    return bytes;
  }

private:
  MemoryDisk& disk_;
  std::shared_ptr<MemoryDisk::Data> data_;
};

class MemoryFolder : public Folder {
public:
  explicit MemoryFolder(MemoryDisk& disk) : disk_(disk) {}

  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    for (const auto& [name, data] : disk_.names_) names.push_back(name);
    return names;
  }
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    auto data = std::make_shared<MemoryDisk::Data>();
    disk_.change([name, data](MemoryDisk::Names& names) { names[name] = data; });
    return std::unique_ptr<File>{std::make_unique<MemoryFile>(disk_, data)};
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    auto it = disk_.names_.find(name);
    if (it == disk_.names_.end()) return Error{Code::failed, "there is no " + name};
    return std::unique_ptr<File>{std::make_unique<MemoryFile>(disk_, it->second)};
  }
  Status rename(const std::string& from, const std::string& to) override {
    if (!disk_.names_.contains(from)) return Error{Code::failed, "there is no " + from};
    disk_.change([from, to](MemoryDisk::Names& names) {
      if (auto node = names.extract(from)) names[to] = node.mapped();
    });
    return {};
  }
  Status remove(const std::string& name) override {
    disk_.change([name](MemoryDisk::Names& names) { names.erase(name); });
    return {};
  }
  Status sync() override {
    if (disk_.power_goes()) throw MemoryDisk::PowerLoss{};
    if (disk_.syncs_fail_) return broken();
    disk_.synced_names_ = disk_.names_;
    disk_.unsynced_.clear();
    return {};
  }
  std::string path() const override { return "disk"; }

private:
  MemoryDisk& disk_;
};

void MemoryDisk::change(const std::function<void(Names&)>& change) {
  const bool last = power_goes();
  change(names_);
  unsynced_.push_back(change);
  if (last) throw PowerLoss{};
}

void MemoryDisk::restart(Unsynced unsynced, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  fail_at_ = std::numeric_limits<std::uint64_t>::max();
  if (unsynced != Unsynced::kept) {
    const std::size_t changes = unsynced == Unsynced::lost ? 0 : random() % (unsynced_.size() + 1);
    for (std::size_t i = 0; i < changes; ++i) unsynced_[i](synced_names_);
    names_ = synced_names_;
    for (auto& [name, data] : names_) {
      std::vector<std::byte> left = data->synced;
      for (std::size_t at = 0; unsynced == Unsynced::chance && at < data->bytes.size(); at += sector) {
        if (random() % 2 == 0) continue;
        const std::size_t end = std::min(at + sector, data->bytes.size());
        left.resize(std::max(left.size(), end));
        std::copy(data->bytes.begin() + static_cast<std::ptrdiff_t>(at),
                  data->bytes.begin() + static_cast<std::ptrdiff_t>(end),
                  left.begin() + static_cast<std::ptrdiff_t>(at));
      }
      data->bytes = std::move(left);
    }
  }
  for (auto& [name, data] : names_) data->synced = data->bytes;
  synced_names_ = names_;
  unsynced_.clear();
}

std::uint64_t MemoryDisk::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, data] : names_) sum += data->bytes.size();
  return sum;
}

std::map<std::string, std::vector<std::byte>> MemoryDisk::files() const {
  std::map<std::string, std::vector<std::byte>> files;
  for (const auto& [name, data] : names_) files[name] = data->bytes;
  return files;
}

void MemoryDisk::put(const std::string& name, std::vector<std::byte> bytes) {
  auto data = std::make_shared<Data>();
  data->synced = bytes;
  data->bytes = std::move(bytes);
  names_[name] = data;
  synced_names_ = names_;
}

void MemoryDisk::drop(const std::string& name) {
  names_.erase(name);
  synced_names_ = names_;
}

void MemoryDisk::flip(const std::string& name, std::size_t bit) {
  names_.at(name)->bytes[bit / 8] ^= std::byte{1} << (bit % 8);
}

std::unique_ptr<Folder> MemoryDisk::folder() { return std::make_unique<MemoryFolder>(*this); }

}  // namespace ventile
