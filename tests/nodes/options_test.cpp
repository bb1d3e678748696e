#include <nodes/options.hpp>

#include <sys/resource.h>

#include <random>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <nodes/confinement_of.hpp>

#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using Words = std::vector<std::string>;

// A machine with an empty home, working and system folder.
class OptionsTest : public testing::Test {
protected:
  TemporaryFolder folder;
  Surroundings around{.versions = {"0.1.0", "1", "4.3.4"},
                      .environment = {{"HOME", (folder.path() / "home").string()}},
                      .directory = folder.path() / "work",
                      .system_config = folder.path() / "etc/config.toml"};

  std::string local_file() const { return (around.directory / "ventile.toml").string(); }

  WorkerCommand worker(const Words& arguments) { return accepted(parse_worker_options(arguments, around)); }
  ExitNow worker_refusal(const Words& arguments) { return refused(parse_worker_options(arguments, around)); }
  VentilatorCommand ventilator(const Words& arguments) { return accepted(parse_ventilator_options(arguments, around)); }
  ExitNow ventilator_refusal(const Words& arguments) { return refused(parse_ventilator_options(arguments, around)); }
  SinkCommand sink(const Words& arguments) { return accepted(parse_sink_options(arguments, around)); }
  ExitNow sink_refusal(const Words& arguments) { return refused(parse_sink_options(arguments, around)); }
  MapCommand map(const Words& arguments) { return accepted(parse_map_options(arguments, around)); }
  ExitNow map_refusal(const Words& arguments) { return refused(parse_map_options(arguments, around)); }

  template <class Options>
  static Options accepted(Parsed<Options> parsed) {
    if (const auto* exit = std::get_if<ExitNow>(&parsed)) {
      ADD_FAILURE() << exit->text;
      return {};
    }
    return std::get<Options>(std::move(parsed));
  }
  template <class Options>
  static ExitNow refused(Parsed<Options> parsed) {
    if (auto* exit = std::get_if<ExitNow>(&parsed)) return *exit;
    ADD_FAILURE() << "accepted";
    return {ExitCode::success, "", "", false};
  }
};

TEST_F(OptionsTest, without_any_source_the_defaults_hold) {
  const WorkerCommand options = worker({});
  EXPECT_EQ(options.connect.to_string(), "tcp://127.0.0.1:5570");
  EXPECT_EQ(options.slots, std::nullopt);
  EXPECT_EQ(options.drain_timeout, 30s);
  EXPECT_TRUE(ventilator({}).speculate);
  EXPECT_EQ(ventilator({}).failure.retries, 1U);
}

TEST_F(OptionsTest, each_source_yields_to_the_one_before_it) {
  folder.write("etc/config.toml", "slots = 1\n");
  EXPECT_EQ(worker({}).slots, 1U);
  folder.write("home/.config/ventile/config.toml", "slots = 2\n");
  EXPECT_EQ(worker({}).slots, 2U);
  folder.write("work/ventile.toml", "slots = 3\n");
  EXPECT_EQ(worker({}).slots, 3U);
  around.environment["VENTILE_SLOTS"] = "4";
  EXPECT_EQ(worker({}).slots, 4U);
  EXPECT_EQ(worker({"--slots", "5"}).slots, 5U);
}

TEST_F(OptionsTest, sources_mix_option_by_option) {
  folder.write("etc/config.toml", "once = true\ndrain-timeout = \"7s\"\n");
  folder.write("work/ventile.toml", "[worker]\ndrain-timeout = 9\n");
  around.environment["VENTILE_EXEC"] = "gzip {}";
  const WorkerCommand options = worker({"-j", "2"});
  EXPECT_TRUE(options.once);
  EXPECT_EQ(options.drain_timeout, 9s);
  EXPECT_EQ(options.exec, "gzip {}");
  EXPECT_EQ(options.slots, 2U);
}

TEST_F(OptionsTest, a_file_named_with_config_replaces_the_usual_ones) {
  folder.write("work/ventile.toml", "slots = 3\nonce = true\n");
  const auto file = folder.write("other.toml", "slots = 8\n");
  EXPECT_EQ(worker({"--config", file.string()}).slots, 8U);
  EXPECT_FALSE(worker({"--config", file.string()}).once);
  around.environment["VENTILE_CONFIG"] = file.string();
  EXPECT_EQ(worker({}).slots, 8U);
  EXPECT_EQ(worker_refusal({"--config", "/absent.toml"}).text, "there is no configuration file /absent.toml");
}

TEST_F(OptionsTest, a_variable_that_is_empty_counts_as_not_set) {
  around.environment["VENTILE_SLOTS"] = "";
  EXPECT_EQ(worker({}).slots, std::nullopt);
}

TEST_F(OptionsTest, a_flag_can_be_taken_back_by_a_better_source) {
  folder.write("work/ventile.toml", "speculate = false\nskip-bad = true\n");
  EXPECT_FALSE(ventilator({}).speculate);
  EXPECT_TRUE(ventilator({"--speculate"}).speculate);
  EXPECT_FALSE(ventilator({"--no-skip-bad"}).skip_bad);
  EXPECT_FALSE(ventilator({"--speculate", "--no-speculate"}).speculate);
}

TEST_F(OptionsTest, a_repeated_option_is_replaced_as_a_whole) {
  folder.write("work/ventile.toml", "plugin = [\"a.so\", \"b.so\"]\n");
  EXPECT_THAT(worker({}).plugins, ElementsAre("a.so", "b.so"));
  around.environment["VENTILE_PLUGIN"] = "c.so:d.so";
  EXPECT_THAT(worker({}).plugins, ElementsAre("c.so", "d.so"));
  EXPECT_THAT(worker({"--plugin", "e.so", "--plugin=f.so"}).plugins, ElementsAre("e.so", "f.so"));
}

TEST_F(OptionsTest, all_spellings_of_a_value_are_understood) {
  EXPECT_EQ(worker({"-j4"}).slots, 4U);
  EXPECT_EQ(worker({"--slots=4"}).slots, 4U);
  EXPECT_EQ(worker({"--slots", "2", "-j", "4"}).slots, 4U);
  EXPECT_EQ(ventilator({"--input", "-"}).input, "-");
  EXPECT_EQ(ventilator({"--range", "-5:5"}).range, (IndexRange{-5, 5, 1}));
  EXPECT_EQ(ventilator({"--args", "[-1, \"a b\"]"}).args, "[-1, \"a b\"]");
  EXPECT_EQ(sink({"--format", "raw", "--separator="}).separator, "");
  EXPECT_EQ(sink({"--format", "raw", "--separator", ""}).separator, "");
}

TEST_F(OptionsTest, json_may_be_an_array_in_a_file) {
  folder.write("work/ventile.toml", "[ventilator]\nargs = [1, \"x\"]\n");
  EXPECT_EQ(nlohmann::json::parse(ventilator({}).args), (nlohmann::json{1, "x"}));
}

TEST_F(OptionsTest, a_ventilator_s_options_arrive) {
  const VentilatorCommand options = ventilator({"--bind",
                                                "tcp://127.0.0.1:0",
                                                "--function",
                                                "sha256",
                                                "--format=nul",
                                                "--timeout",
                                                "500ms",
                                                "--retries",
                                                "3",
                                                "--halt",
                                                "soon,fail=3%",
                                                "--failed",
                                                "bad",
                                                "--metrics",
                                                "job.prom",
                                                "--job",
                                                "night",
                                                "--bar",
                                                "--job-timeout",
                                                "2m",
                                                "--frame-bytes-max",
                                                "4MiB",
                                                "--strangers-max",
                                                "8",
                                                "--key-sessions-max",
                                                "3",
                                                "--key-slots-max",
                                                "64",
                                                "--lease",
                                                "10"});
  EXPECT_EQ(options.bind.port, 0);
  EXPECT_EQ(options.function, "sha256");
  EXPECT_EQ(options.format, InputFormat::nul);
  EXPECT_EQ(options.failure.timeout, 500ms);
  EXPECT_EQ(options.failure.retries, 3U);
  EXPECT_EQ(to_text(options.failure.halt), "soon,fail=3%");
  EXPECT_EQ(options.failure.failed, "bad");
  EXPECT_EQ(options.metrics, "job.prom");
  EXPECT_EQ(options.job, "night");
  EXPECT_EQ(options.bar, true);
  EXPECT_EQ(options.job_timeout, 2min);
  EXPECT_EQ(options.frame_bytes_max, 4U << 20);
  EXPECT_EQ(options.strangers_max, 8U);
  EXPECT_EQ(options.key_limits.sessions_max, 3U);
  EXPECT_EQ(options.key_limits.slots_max, 64U);
  EXPECT_EQ(options.timings.lease, 10s);
}

TEST_F(OptionsTest, a_misspelt_option_is_refused_with_the_nearest) {
  const ExitNow exit = worker_refusal({"--slot", "4"});
  EXPECT_EQ(exit.code, ExitCode::usage);
  EXPECT_EQ(exit.text, "unknown option --slot; did you mean --slots?");
  EXPECT_EQ(exit.hint, "Try 'ventile-worker --help'.");
  EXPECT_EQ(worker_refusal({"--slost=4"}).text, "unknown option --slost; did you mean --slots?");
  EXPECT_EQ(ventilator_refusal({"--no-speculat"}).text, "unknown option --no-speculat; did you mean --no-speculate?");
  EXPECT_EQ(worker_refusal({"--frobnicate"}).text, "unknown option --frobnicate");
}

TEST_F(OptionsTest, words_that_belong_to_no_option_are_refused) {
  EXPECT_EQ(worker_refusal({"now"}).text, "unexpected argument \"now\"");
  EXPECT_EQ(worker_refusal({"--", "--slots"}).code, ExitCode::usage);
  EXPECT_EQ(worker_refusal({"-z"}).text, "unknown option -z");
}

TEST_F(OptionsTest, an_option_without_its_value_is_refused_by_name) {
  EXPECT_EQ(worker_refusal({"--slots"}).text, "--slots needs a value");
  EXPECT_EQ(worker_refusal({"-j"}).text, "--slots needs a value");
}

TEST_F(OptionsTest, a_bad_value_is_refused_with_its_origin) {
  EXPECT_EQ(worker_refusal({"-j", "0"}).text, "--slots: expected a whole number from 1 to 4096, got \"0\"");
  around.environment["VENTILE_SLOTS"] = "many";
  EXPECT_EQ(worker_refusal({}).text, "VENTILE_SLOTS: expected a whole number from 1 to 4096, got \"many\"");
  around.environment.erase("VENTILE_SLOTS");
  folder.write("work/ventile.toml", "\nslots = 1.5\n");
  EXPECT_EQ(worker_refusal({}).text, local_file() + ":2: slots: expected a whole number from 1 to 4096, got \"1.5\"");
}

TEST_F(OptionsTest, every_kind_of_bad_value_exits_with_usage) {
  const std::vector<Words> lines{{"--bind", "nonsense"},
                                 {"--args", "{}"},
                                 {"--args", "[1"},
                                 {"--timeout", "soon"},
                                 {"--timeout", "0"},
                                 {"--retries", "0"},
                                 {"--halt", "sometimes"},
                                 {"--max-crashes", "-1"},
                                 {"--frame-bytes-max", "1"},
                                 {"--strangers-max", "0"},
                                 {"--key-sessions-max", "0"},
                                 {"--key-slots-max", "0"},
                                 {"--format", "xml"},
                                 {"--range", "5"},
                                 {"--speculate=perhaps"},
                                 {"--heartbeat", "-1s"},
                                 {"--input", "a", "--range", "1:2"},
                                 {"-q", "-v"},
                                 {"--window-bytes", "1ZB"}};
  for (const Words& line : lines) {
    const ExitNow exit = ventilator_refusal(line);
    EXPECT_EQ(exit.code, ExitCode::usage) << line[0];
    EXPECT_THAT(exit.text, HasSubstr(line[0] == "-q" ? "--quiet" : line[0].substr(0, line[0].find('=')))) << line[0];
  }
}

TEST_F(OptionsTest, a_conflict_names_the_source_that_the_command_line_does_not_show) {
  folder.write("work/ventile.toml", "input = \"tasks.txt\"\n");
  EXPECT_EQ(ventilator_refusal({"--range", "0:9"}).text,
            "input (" + local_file() + ":1) and --range exclude each other");
}

TEST_F(OptionsTest, a_bad_choice_names_the_words_there_are) {
  EXPECT_EQ(ventilator_refusal({"--format", "xml"}).text,
            "--format: expected lines, nul, jsonl or msgpack, got \"xml\"");
}

TEST_F(OptionsTest, an_array_for_a_single_value_is_refused) {
  folder.write("work/ventile.toml", "slots = [1, 2]\n");
  EXPECT_EQ(worker_refusal({}).text, local_file() + ":1: slots: expected one value, got an array");
}

TEST_F(OptionsTest, an_unknown_key_of_a_file_is_refused_whoever_reads_it) {
  folder.write("work/ventile.toml", "[sink]\nslots = 2\n");
  EXPECT_EQ(worker_refusal({}).text, local_file() + ":2: unknown key \"sink.slots\"");
  folder.write("work/ventile.toml", "[sink]\nstay = true\n");
  EXPECT_EQ(worker({}).slots, std::nullopt);
}

TEST_F(OptionsTest, an_address_that_others_can_reach_needs_keys_or_insecure) {
  const ExitNow exit = ventilator_refusal({"--bind", "tcp://0.0.0.0:5570"});
  EXPECT_EQ(exit.code, ExitCode::usage);
  EXPECT_THAT(exit.text, StartsWith("refusing to bind tcp://0.0.0.0:5570 without keys"));
  EXPECT_EQ(exit.hint,
            "Make keys, once:      ventile keygen --out keys\n"
            "And use them here:    --bind tcp://0.0.0.0:5570 --keys keys");
  EXPECT_EQ(ventilator({"--bind", "tcp://0.0.0.0:5570", "--keys", "keys"}).keys, "keys");
  EXPECT_TRUE(ventilator({"--bind", "tcp://0.0.0.0:5570", "--insecure"}).insecure);
  EXPECT_EQ(sink_refusal({"--bind", "tcp://10.0.0.1:0"}).code, ExitCode::usage);
  EXPECT_EQ(sink_refusal({"--connect", "tcp://10.0.0.1:5570"}).code, ExitCode::usage);
  EXPECT_EQ(worker_refusal({"--connect", "tcp://10.0.0.1:5570"}).code, ExitCode::usage);
  EXPECT_EQ(worker({"--connect", "tcp://10.0.0.1:5570", "--insecure"}).connect.host, "10.0.0.1");
  for (const auto* address : {"ipc:///tmp/ventile", "inproc://tasks", "tcp://[::1]:5570", "tcp://localhost:5570"}) {
    EXPECT_FALSE(ventilator({"--bind", address}).insecure);
  }
}

TEST_F(OptionsTest, keys_are_either_used_or_done_without) {
  EXPECT_EQ(worker_refusal({"--keys", "keys", "--insecure"}).text, "--keys and --insecure exclude each other");
}

TEST_F(OptionsTest, a_pipeline_takes_keys_and_with_them_a_stream_that_others_can_reach) {
  const Words pipeline{"--pattern", "pipeline", "--function", "echo", "--stream-bind", "tcp://0.0.0.0:5572"};
  Words with = pipeline;
  with.insert(with.end(), {"--keys", "keys"});
  EXPECT_EQ(ventilator(with).keys, "keys");
  EXPECT_THAT(ventilator_refusal(pipeline).text, StartsWith("refusing to stream-bind"));
  EXPECT_EQ(worker({"--keys", "keys", "--pattern", "pipeline"}).keys, "keys");
  EXPECT_EQ(sink({"--keys", "keys", "--pattern", "pipeline"}).keys, "keys");
}

TEST_F(OptionsTest, a_lost_command_runs_again_unless_it_is_told_not_to) {
  EXPECT_EQ(ventilator({}).failure.on_lost, OnLost::rerun);
  EXPECT_EQ(ventilator({"--on-lost", "fail"}).failure.on_lost, OnLost::fail);
  EXPECT_EQ(map({"--function", "echo", "--connect", "tcp://127.0.0.1:5570", "--on-lost", "fail"}).failure.on_lost,
            OnLost::fail);
}

TEST_F(OptionsTest, a_sink_either_orders_or_folds) {
  EXPECT_EQ(sink_refusal({"--ordered", "--fold", "sum"}).text, "--ordered and --fold exclude each other");
  EXPECT_EQ(sink_refusal({"--separator", "x"}).text, "--separator is for --format raw only");
}

TEST_F(OptionsTest, map_orders_unless_it_folds) {
  EXPECT_TRUE(map({"--function", "echo"}).ordered);
  EXPECT_FALSE(map({"--function", "echo", "--fold", "sum"}).ordered);
  EXPECT_EQ(map_refusal({"--function", "echo", "--fold", "sum", "--ordered"}).text,
            "--ordered and --fold exclude each other");
  EXPECT_EQ(map({"--exec", "gzip {}"}).function, "exec");
  EXPECT_EQ(map_refusal({}).text, "--function is missing");
  EXPECT_EQ(map({"--function", "echo", "--transport", "ipc"}).transport, Transport::ipc);
}

TEST_F(OptionsTest, errors_are_json_if_json_was_asked_for) {
  EXPECT_TRUE(worker_refusal({"--json", "--slot"}).json);
  EXPECT_FALSE(worker_refusal({"--slot"}).json);
  around.environment["VENTILE_JSON"] = "1";
  EXPECT_TRUE(worker_refusal({"--slot"}).json);
}

TEST_F(OptionsTest, version_names_program_protocol_and_libzmq) {
  const ExitNow exit = worker_refusal({"--version"});
  EXPECT_EQ(exit.code, ExitCode::success);
  EXPECT_EQ(exit.text, "ventile-worker 0.1.0 (protocol 1, libzmq 4.3.4)\n");
}

TEST_F(OptionsTest, help_is_given_even_beside_a_broken_configuration) {
  folder.write("work/ventile.toml", "slots = [\n");
  EXPECT_EQ(worker_refusal({"--help"}).code, ExitCode::success);
}

TEST_F(OptionsTest, help_shows_defaults_and_fits_eighty_columns) {
  for (const ExitNow& exit :
       {worker_refusal({"-h"}), ventilator_refusal({"-h"}), sink_refusal({"-h"}), map_refusal({"-h"})}) {
    EXPECT_EQ(exit.code, ExitCode::success);
    EXPECT_THAT(exit.text, StartsWith("Usage: ventile"));
    std::istringstream lines{exit.text};
    for (std::string line; std::getline(lines, line);) {
      const auto is_first_byte = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
      EXPECT_LE(std::count_if(line.begin(), line.end(), is_first_byte), 80) << line;
    }
  }
  EXPECT_THAT(worker_refusal({"-h"}).text, HasSubstr("  -j, --slots N"));
  EXPECT_THAT(worker_refusal({"-h"}).text, HasSubstr("[tcp://127.0.0.1:5570]"));
  EXPECT_THAT(ventilator_refusal({"-h"}).text, HasSubstr("--no-speculate"));
}

TEST_F(OptionsTest, config_show_names_every_origin_and_reads_back) {
  folder.write("work/ventile.toml", "[worker]\nplugin = [\"a.so\", \"b:c.so\"]\nexec = \"say \\\"{}\\\"\"\n");
  around.environment["VENTILE_DRAIN_TIMEOUT"] = "5s";
  const auto text = accepted(show_config("worker", {"--slots", "3"}, around, true));
  EXPECT_THAT(text, HasSubstr("# --slots\n"));
  EXPECT_THAT(text, HasSubstr("# VENTILE_DRAIN_TIMEOUT\n"));
  EXPECT_THAT(text, HasSubstr("# " + local_file() + ":2\n"));
  EXPECT_THAT(text, HasSubstr("# default\n"));
  folder.write("work/ventile.toml", text);
  around.environment.erase("VENTILE_DRAIN_TIMEOUT");
  const WorkerCommand options = worker({});
  EXPECT_EQ(options.slots, 3U);
  EXPECT_EQ(options.drain_timeout, 5s);
  EXPECT_THAT(options.plugins, ElementsAre("a.so", "b:c.so"));
  EXPECT_EQ(options.exec, "say \"{}\"");
  EXPECT_EQ(refused(show_config("driver", {}, around, false)).code, ExitCode::usage);
}

TEST_F(OptionsTest, no_command_line_crashes_the_parser) {
  static constexpr const char* pieces[] = {"--slots",  "--slots=", "-j",     "4",        "--",  "-",    "--no-once",
                                           "--plugin", "[a,b]",    "--exec", "--config", "",    "-jv",  "--once=x",
                                           "/windows", "--args",   "---",    "=",        "-v-", "\xff", "--json"};
  std::mt19937 random{9};
  for (int round = 0; round < 2000; ++round) {
    Words words;
    for (std::size_t count = random() % 6; count > 0; --count) words.emplace_back(pieces[random() % std::size(pieces)]);
    const auto parsed = parse_worker_options(words, around);
    if (const auto* exit = std::get_if<ExitNow>(&parsed)) {
      EXPECT_EQ(exit->code, ExitCode::usage);
      EXPECT_NE(exit->text, "");
    }
  }
}

TEST(ConfinementTest, what_commands_may_do_is_said_in_words_that_are_checked) {
  const Result<Confinement> confinement =
      confinement_of({{}, {"cpu=1500ms", "memory=1GiB", "files=64", "processes=10", "file-size=1MB"}});
  ASSERT_TRUE(confinement);
  EXPECT_TRUE(confinement->no_new_privileges);
  std::vector<std::pair<int, std::uint64_t>> limits;
  for (const ResourceLimit& limit : confinement->limits) limits.emplace_back(limit.resource, limit.value);
  EXPECT_EQ(limits, (std::vector<std::pair<int, std::uint64_t>>{{RLIMIT_CPU, 2},
                                                                {RLIMIT_AS, std::uint64_t{1} << 30},
                                                                {RLIMIT_NOFILE, 64},
                                                                {RLIMIT_NPROC, 10},
                                                                {RLIMIT_FSIZE, 1'000'000}}));
  EXPECT_EQ(confinement_of({{}, {"file=64"}}).error().message,
            "--limit: expected cpu, memory, files, processes or file-size, and =N, got \"file=64\"");
  EXPECT_TRUE(confinement_of({{}, {"memory=much"}}).error().message.starts_with("--limit memory: expected a size"));
  EXPECT_EQ(confinement_of({"nobody-has-this-name", {}}).error().message,
            "--user: there is no user 'nobody-has-this-name' on this machine");
}

// One that was not understood would be one that is not there.
TEST(ConfinementTest, a_limit_that_is_not_understood_is_said_and_nothing_runs_without_it) {
  const auto error_of = [](const std::string& limit) {
    const Result<Confinement> confinement = confinement_of({{}, {"files=64", limit}});
    return confinement ? "none" : confinement.error().message;
  };
  EXPECT_EQ(error_of("files=many"), "--limit files: expected a whole number from 0 to 1073741824, got \"many\"");
  EXPECT_EQ(error_of("files=-1"), "--limit files: expected a whole number from 0 to 1073741824, got \"-1\"");
  EXPECT_EQ(error_of("processes=1073741825"),
            "--limit processes: expected a whole number from 0 to 1073741824, got \"1073741825\"");
  EXPECT_EQ(error_of("cpu=long"), "--limit cpu: expected a duration such as 500ms, 3s, 2m or 1h30m, got \"long\"");
  EXPECT_EQ(error_of("memory"), "--limit: expected cpu, memory, files, processes or file-size, and =N, got \"memory\"");
}

}  // namespace
}  // namespace ventile
