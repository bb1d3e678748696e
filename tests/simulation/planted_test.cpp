// Each mistake that is planted into the deciders is found by its seed, and the same seed passes without it.
#include "tests/simulation/planted.hpp"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

namespace ventile::simulation {

void PrintTo(const PlantedFault& fault, std::ostream* out) { *out << fault.name; }

namespace {

std::string again(const PlantedFault& fault) {
  return "\nlook for another seed with: ventile-simulate --planted '" + std::string{fault.name} + "'";
}

class Planted : public ::testing::TestWithParam<PlantedFault> {};

TEST_P(Planted, mistake_is_found_by_its_seed_which_passes_without_it) {
  const PlantedFault& fault = GetParam();
  EXPECT_TRUE(wrong_with(fault.name, fault.setting, fault.seed)) << "seed " << fault.seed << again(fault);
  EXPECT_EQ(wrong_with(nullptr, fault.setting, fault.seed), std::nullopt) << "seed " << fault.seed << again(fault);
}

std::string test_name(const ::testing::TestParamInfo<PlantedFault>& info) {
  std::string name = info.param.name;
  std::erase(name, '\'');
  for (char& letter : name)
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Each, Planted, ::testing::ValuesIn(planted_faults().begin(), planted_faults().end()),
                         test_name);

TEST(PlantedFaults, are_many_and_have_different_names) {
  std::set<std::string> names;
  for (const PlantedFault& fault : planted_faults()) names.insert(fault.name);
  EXPECT_EQ(names.size(), planted_faults().size());
  EXPECT_GE(names.size(), 25U);
}

TEST(PlantedFaults, leave_no_trace_in_the_next_run) {
  const PlantedFault& fault = planted_faults().front();
  std::ostringstream before;
  std::ostringstream after;
  (void)wrong_with(nullptr, fault.setting, fault.seed, &before);
  (void)wrong_with(fault.name, fault.setting, fault.seed);
  (void)wrong_with(nullptr, fault.setting, fault.seed, &after);
  EXPECT_EQ(before.str(), after.str());
}

}  // namespace
}  // namespace ventile::simulation
