#include <nodes/slots.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include <sched.h>

#include <fmt/format.h>

#include <nodes/quantity.hpp>

namespace ventile {
namespace {

constexpr std::int64_t slots_max = 1 << 20;

// A processor quota: how many processors' worth of time, and where it is written.
struct Quota {
  double processors;
  std::string path;
};

// Where a control group hierarchy is mounted, and which of its groups is the top of what we see there.
struct Mount {
  std::string group;
  std::string directory;
};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream{line};
  return {std::istream_iterator<std::string>{stream}, {}};
}

// True if `list`, such as "rw,cpu,cpuacct", has `word`.
bool lists(std::string_view list, std::string_view word) {
  while (true) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == word) return true;
    if (comma == list.size()) return false;
    list.remove_prefix(comma + 1);
  }
}

// /proc/self/mountinfo: "36 35 0:30 /group /sys/fs/cgroup/cpu rw,… shared:1 - cgroup cgroup rw,cpu".
std::optional<Mount> mount_of(const std::string& mountinfo, bool version_two) {
  std::istringstream lines{mountinfo};
  for (std::string line; std::getline(lines, line);) {
    const auto words = words_of(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (dash - words.begin() < 6 || words.end() - dash < 4) continue;
    const bool matches = version_two ? dash[1] == "cgroup2" : dash[1] == "cgroup" && lists(dash[3], "cpu");
    if (matches) return Mount{words[3], words[4]};
  }
  return std::nullopt;
}

// /proc/self/cgroup: "0::/group" in version 2, "4:cpu,cpuacct:/group" in version 1.
std::optional<std::string> group_of(const std::string& cgroup, bool version_two) {
  std::istringstream lines{cgroup};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool matches = version_two ? line.starts_with("0::") : lists(controllers, "cpu");
    if (matches) return line.substr(second + 1);
  }
  return std::nullopt;
}

// The directories of our group and of those above it, up to the mount. A group that lies outside of what is mounted
// here, as in a container without its own namespace, leaves the mount itself.
std::vector<std::string> directories_of(const Mount& mount, std::string group) {
  const std::string top = mount.group == "/" ? "" : mount.group;
  std::vector<std::string> directories;
  if (group.starts_with(top + "/") && group.find("/..") == std::string::npos) {
    for (group.erase(0, top.size()); group.size() > 1; group.erase(group.rfind('/'))) {
      directories.push_back(mount.directory + group);
    }
  }
  directories.push_back(mount.directory);
  return directories;
}

std::optional<double> number_of(const std::string& word) {
  const auto number = parse_real(word, 1, 1e15);
  return number ? std::optional{*number} : std::nullopt;
}

// cpu.max holds "200000 100000", or "max 100000" for no quota.
std::optional<Quota> quota_of_version_two(const Machine& machine, const std::string& directory) {
  const std::string path = directory + "/cpu.max";
  const auto words = words_of(machine.read_file(path).value_or(""));
  if (words.size() != 2) return std::nullopt;
  const auto quota = number_of(words[0]);
  const auto period = number_of(words[1]);
  if (!quota || !period) return std::nullopt;
  return Quota{*quota / *period, path};
}

// cpu.cfs_quota_us holds -1 for no quota.
std::optional<Quota> quota_of_version_one(const Machine& machine, const std::string& directory) {
  const std::string path = directory + "/cpu.cfs_quota_us";
  const auto quotas = words_of(machine.read_file(path).value_or(""));
  const auto periods = words_of(machine.read_file(directory + "/cpu.cfs_period_us").value_or(""));
  if (quotas.size() != 1 || periods.size() != 1) return std::nullopt;
  const auto quota = number_of(quotas[0]);
  const auto period = number_of(periods[0]);
  if (!quota || !period) return std::nullopt;
  return Quota{*quota / *period, path};
}

// The smallest quota of one hierarchy.
std::optional<Quota> least_quota(const Machine& machine, bool version_two) {
  const auto mount = mount_of(machine.read_file("/proc/self/mountinfo").value_or(""), version_two);
  const auto group = group_of(machine.read_file("/proc/self/cgroup").value_or(""), version_two);
  if (!mount || !group) return std::nullopt;
  std::optional<Quota> least;
  for (const std::string& directory : directories_of(*mount, *group)) {
    auto quota = version_two ? quota_of_version_two(machine, directory) : quota_of_version_one(machine, directory);
    if (quota && (!least || quota->processors < least->processors)) least = std::move(quota);
  }
  return least;
}

std::string processors(double count) { return fmt::format("{:g} {}", count, count == 1 ? "processor" : "processors"); }

std::uint32_t affinity_here() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::uint32_t>(CPU_COUNT(&set));
  return std::max(1U, std::thread::hardware_concurrency());  // More than 1,024 processors do not fit the set.
}

}  // namespace

Machine Machine::here() {
  auto read_file = [](const std::string& path) -> std::optional<std::string> {
    std::ifstream stream{path, std::ios::binary};
    if (!stream) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>{stream}, {}};
  };
  const char* const slurm = std::getenv("SLURM_CPUS_PER_TASK");
  return {affinity_here(), read_file, slurm == nullptr ? std::nullopt : std::optional<std::string>{slurm}};
}

AvailableSlots available_slots(const Machine& machine) {
  AvailableSlots slots{std::max(1U, machine.affinity), processors(machine.affinity) + " by affinity"};
  const auto lower_to = [&slots](double count, std::string reason) {
    const auto whole = static_cast<std::uint32_t>(std::clamp(std::ceil(count), 1.0, static_cast<double>(slots_max)));
    if (whole < slots.count) slots = {whole, std::move(reason)};
  };
  for (const bool version_two : {true, false}) {
    const auto quota = least_quota(machine, version_two);
    if (quota) lower_to(quota->processors, fmt::format("{} by {}", processors(quota->processors), quota->path));
  }
  const auto slurm = parse_integer(machine.slurm_cpus_per_task.value_or(""), 1, slots_max);
  if (slurm) lower_to(static_cast<double>(*slurm), fmt::format("SLURM_CPUS_PER_TASK={}", *slurm));
  return slots;
}

}  // namespace ventile
