#include <nodes/pulse.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using namespace std::chrono_literals;

class PulseTest : public testing::Test {
protected:
  std::string file() const { return folder.path() / "pulse"; }
  Beat read() const {
    const Result<Beat> beat = read_pulse(file());
    return beat ? *beat : Beat{};
  }

  TemporaryFolder folder;
  TimePoint start{1'000s};
  std::vector<std::string> said;
  Log log{[this](Level, std::string_view line) { said.emplace_back(line); }};
};

TEST_F(PulseTest, a_beat_is_read_as_it_was_written) {
  Pulse pulse{file(), log};
  pulse.beat(false, start);
  EXPECT_EQ(read(), (Beat{false, start}));
  pulse.beat(true, start + 1ns);
  EXPECT_EQ(read(), (Beat{true, start + 1ns}));
}

TEST_F(PulseTest, the_same_is_not_written_more_than_once_a_second) {
  Pulse pulse{file(), log};
  pulse.beat(true, start);
  pulse.beat(true, start + pulse_interval - 1ns);
  EXPECT_EQ(read().when, start);
  pulse.beat(true, start + pulse_interval);
  EXPECT_EQ(read().when, start + pulse_interval);
}

TEST_F(PulseTest, who_has_ended_has_none) {
  { Pulse{file(), log}.beat(true, start); }
  EXPECT_EQ(read_pulse(file()).error().code, Code::unavailable);
}

TEST_F(PulseTest, without_a_path_nothing_is_written) {
  Pulse{"", log}.beat(true, start);
  EXPECT_TRUE(said.empty());
}

TEST_F(PulseTest, a_place_that_cannot_be_written_is_named_once) {
  Pulse pulse{folder.path() / "none" / "pulse", log};
  pulse.beat(true, start);
  pulse.beat(true, start + 1min);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("none/pulse"), std::string::npos) << said[0];
}

TEST_F(PulseTest, something_else_in_the_file_is_no_sign_of_life) {
  for (const char* text :
       {"", "alive", "ventile-pulse 1 serving ", "ventile-pulse 1 serving x", "ventile-pulse 2 serving 1",
        "ventile-pulse 1 serving 1 2", "ventile-pulse 1 serving 99999999999999999999"}) {
    folder.write("pulse", text);
    const auto beat = read_pulse(file());
    ASSERT_FALSE(beat) << text;
    EXPECT_EQ(beat.error().code, Code::corrupt) << text;
  }
}

TEST_F(PulseTest, who_serves_and_was_seen_lately_is_healthy) {
  EXPECT_EQ(illness_of({true, start}, false, 3s, start + 3s), "");
  EXPECT_EQ(illness_of({true, start}, false, 3s, start + 3500ms), "no sign of life for 3.5 s");
}

TEST_F(PulseTest, who_waits_for_a_dispatcher_is_alive_but_does_not_serve) {
  EXPECT_EQ(illness_of({false, start}, false, 3s, start), "it waits for its dispatcher");
  EXPECT_EQ(illness_of({false, start}, true, 3s, start), "");
  EXPECT_NE(illness_of({false, start}, true, 3s, start + 4s), "");
}

TEST_F(PulseTest, a_sign_of_life_from_before_the_machine_started_again_is_none) {
  EXPECT_NE(illness_of({true, start}, true, 3s, start - 1s), "");
}

}  // namespace
}  // namespace ventile
