#include <nodes/slots.hpp>

#include <map>

#include <gtest/gtest.h>

namespace ventile {
namespace {

constexpr const char* version_two_mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* version_one_mounts =
    "30 23 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n";

// A machine of sixteen processors with these files.
Machine machine(std::map<std::string, std::string> files) {
  return {.affinity = 16,
          .read_file =
              [files = std::move(files)](const std::string& path) {
                const auto file = files.find(path);
                return file == files.end() ? std::nullopt : std::optional{file->second};
              },
          .slurm_cpus_per_task = std::nullopt};
}

TEST(SlotsTest, without_any_limit_affinity_decides) {
  EXPECT_EQ(available_slots(machine({})), (AvailableSlots{16, "16 processors by affinity"}));
}

TEST(SlotsTest, a_version_two_quota_decides_if_it_is_less) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_two_mount},
                                     {"/proc/self/cgroup", "0::/job\n"},
                                     {"/sys/fs/cgroup/job/cpu.max", "400000 100000\n"}})),
            (AvailableSlots{4, "4 processors by /sys/fs/cgroup/job/cpu.max"}));
}

TEST(SlotsTest, a_group_above_ours_limits_us_too) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_two_mount},
                                     {"/proc/self/cgroup", "0::/user/session/job\n"},
                                     {"/sys/fs/cgroup/user/session/job/cpu.max", "max 100000\n"},
                                     {"/sys/fs/cgroup/user/cpu.max", "200000 100000\n"},
                                     {"/sys/fs/cgroup/user/session/cpu.max", "800000 100000\n"}})),
            (AvailableSlots{2, "2 processors by /sys/fs/cgroup/user/cpu.max"}));
}

TEST(SlotsTest, a_container_s_own_name_space_has_its_quota_at_the_top) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_two_mount},
                                     {"/proc/self/cgroup", "0::/\n"},
                                     {"/sys/fs/cgroup/cpu.max", "300000 100000\n"}}))
                .count,
            3U);
}

TEST(SlotsTest, a_group_outside_of_what_is_mounted_leaves_the_mount) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_two_mount},
                                     {"/proc/self/cgroup", "0::/../../elsewhere\n"},
                                     {"/sys/fs/cgroup/cpu.max", "500000 100000\n"}}))
                .count,
            5U);
}

TEST(SlotsTest, a_version_one_quota_is_found_below_its_own_mount) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_one_mounts},
                                     {"/proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/slurm/job\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_quota_us", "250000\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_period_us", "100000\n"}})),
            (AvailableSlots{3, "2.5 processors by /sys/fs/cgroup/cpu,cpuacct/slurm/job/cpu.cfs_quota_us"}));
}

TEST(SlotsTest, a_version_one_container_sees_its_group_as_the_mount) {
  EXPECT_EQ(available_slots(machine(
                {{"/proc/self/mountinfo", "31 23 0:27 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"},
                 {"/proc/self/cgroup", "4:cpu:/docker/abc\n"},
                 {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
                 {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}})),
            (AvailableSlots{1, "1 processor by /sys/fs/cgroup/cpu/cpu.cfs_quota_us"}));
}

TEST(SlotsTest, a_quota_of_minus_one_is_none) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_one_mounts},
                                     {"/proc/self/cgroup", "4:cpu,cpuacct:/\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"},
                                     {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}}))
                .count,
            16U);
}

TEST(SlotsTest, a_quota_below_one_processor_leaves_one_slot) {
  EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_two_mount},
                                     {"/proc/self/cgroup", "0::/\n"},
                                     {"/sys/fs/cgroup/cpu.max", "5000 100000\n"}}))
                .count,
            1U);
}

TEST(SlotsTest, slurm_decides_if_it_grants_less) {
  Machine slurm = machine({});
  slurm.slurm_cpus_per_task = "6";
  EXPECT_EQ(available_slots(slurm), (AvailableSlots{6, "SLURM_CPUS_PER_TASK=6"}));
  slurm.slurm_cpus_per_task = "64";
  EXPECT_EQ(available_slots(slurm).count, 16U);
  slurm.slurm_cpus_per_task = "(x2)";
  EXPECT_EQ(available_slots(slurm).count, 16U);
}

TEST(SlotsTest, damaged_files_limit_nothing) {
  for (const auto* text : {"", "x", "1", "a b", "0 0", "100000 0", "-5 100000", "1 2 3", "\xff\xff \n"}) {
    EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", version_two_mount},
                                       {"/proc/self/cgroup", "0::/\n"},
                                       {"/sys/fs/cgroup/cpu.max", text}}))
                  .count,
              16U)
        << text;
    EXPECT_EQ(available_slots(machine({{"/proc/self/mountinfo", text}, {"/proc/self/cgroup", text}})).count, 16U);
  }
}

TEST(SlotsTest, this_machine_has_at_least_one_slot_for_a_reason) {
  const AvailableSlots slots = available_slots(Machine::here());
  EXPECT_GE(slots.count, 1U);
  EXPECT_NE(slots.reason, "");
}

}  // namespace
}  // namespace ventile
