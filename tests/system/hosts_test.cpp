// The roles on hosts of their own: network namespaces of this machine, joined by a switch.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

constexpr const char* ip_program = "/usr/sbin/ip";

// Hosts 10.77.0.1, 10.77.0.2 …, each a network namespace with one cable to a switch in a namespace of its own. Gone
// with this object.
class Network {
public:
  explicit Network(int hosts) {
    add_namespace(hub());
    ip("-n " + hub() + " link add switch type bridge");
    ip("-n " + hub() + " link set switch up");
    for (int number = 1; number <= hosts; ++number) {
      add_namespace(host(number));
      ip("link add eth0 netns " + host(number) + " type veth peer name " + port(number) + " netns " + hub());
      ip("-n " + hub() + " link set " + port(number) + " master switch up");
      ip("-n " + host(number) + " addr add " + address(number) + "/24 dev eth0");
      ip("-n " + host(number) + " link set eth0 up");
      ip("-n " + host(number) + " link set lo up");
    }
  }
  ~Network() {
    for (const std::string& name : namespaces_) ip("netns del " + name);
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  static std::string address(int number) { return "10.77.0." + std::to_string(number); }
  // What is put before a command to run it on that host.
  Arguments on(int number) const { return {ip_program, "netns", "exec", host(number)}; }
  void unplug(int number) const { ip("-n " + hub() + " link set " + port(number) + " down"); }
  void plug(int number) const { ip("-n " + hub() + " link set " + port(number) + " up"); }

  // Whether such networks can be made here; if not, the reason.
  static std::string obstacle() {
    if (geteuid() != 0) return "needs root for network namespaces; runs where the tests run as root";
    const std::string probe = "ventile-probe-" + std::to_string(getpid());
    const bool made = try_ip("netns add " + probe);
    const bool bridged = made && try_ip("-n " + probe + " link add probe type bridge");
    if (made) try_ip("netns del " + probe);
    return bridged ? "" : "this kernel makes no network namespaces with a bridge; runs on a full machine with iproute2";
  }

private:
  std::vector<std::string> namespaces_;

  static std::string host(int number) { return "ventile-" + std::to_string(getpid()) + "-" + std::to_string(number); }
  static std::string hub() { return host(0); }
  static std::string port(int number) { return "port" + std::to_string(number); }
  static bool try_ip(const std::string& arguments) {
    // NOLINTNEXTLINE(cert-env33-c): the words are this file's own.
    const int status = std::system((std::string{ip_program} + " " + arguments + " 2>/dev/null").c_str());
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  static void ip(const std::string& arguments) { EXPECT_TRUE(try_ip(arguments)) << "ip " << arguments; }
  void add_namespace(const std::string& name) {
    ip("netns add " + name);
    namespaces_.push_back(name);
  }
};

class HostsTest : public SystemTest {
protected:
  static constexpr int ventilator_host = 1;
  static constexpr int sink_host = 2;
  static constexpr int worker_host = 3;
  static constexpr int other_host = 4;

  void SetUp() override {
    if (const std::string why = Network::obstacle(); !why.empty()) GTEST_SKIP() << why;
    network.emplace(other_host);
    address_ = "tcp://" + Network::address(ventilator_host) + ":5570";
  }

  Process& start_ventilator_host(Arguments arguments) {
    arguments.push_back("--insecure");
    prefix_ = network->on(ventilator_host);
    return start_ventilator(arguments);
  }
  Process& start_sink_host(const Arguments& more = {}) {
    Arguments arguments{"--output", path("results"), "--format", "raw", "--insecure"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    prefix_ = network->on(sink_host);
    return start_sink(arguments);
  }
  Process& start_worker_host(int number) {
    prefix_ = network->on(number);
    return start_worker({"-j", "1", "--insecure"});
  }

  std::optional<Network> network;
};

TEST_F(HostsTest, of_their_own_do_a_job_and_the_sink_is_found_by_the_interface_that_leads_to_the_dispatcher) {
  Process& sink = start_sink_host();
  EXPECT_NE(sink.line_with("tcp://" + Network::address(sink_host) + ":5571"), "");
  Process& worker = start_worker_host(worker_host);
  Process& ventilator = start_ventilator_host({"--range", "0:1000", "--function", "index"});
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_TRUE(worker.running());
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
}

TEST_F(HostsTest, find_a_sink_that_binds_every_interface_by_the_address_that_it_advertises) {
  Process& sink = start_sink_host(
      {"--bind", "tcp://0.0.0.0:6001", "--advertise", "tcp://" + Network::address(sink_host) + ":6001"});
  start_worker_host(worker_host);
  EXPECT_EQ(exact_summary(start_ventilator_host({"--range", "0:100", "--function", "index"})).done, 100U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(HostsTest, that_are_cut_off_lose_their_work_to_others_and_are_welcome_again) {
  Gate gate{path("gate")};
  gate.mark(5);
  const Arguments job{"--range", "0:1000", "--function", "hold", "--args", gate.arguments(), "--no-speculate"};
  Process& first = start_ventilator_host(job);
  Process& sink = start_sink_host({"--stay"});
  Process& cut_off = start_worker_host(worker_host);
  EXPECT_EQ(gate.next().worker, cut_off.pid());
  network->unplug(worker_host);
  start_worker_host(other_host);
  const Summary summary = exact_summary(first);
  EXPECT_EQ(summary.done, 1000U);
  EXPECT_GE(summary.batches_requeued, 1U);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));

  gate.open(5);
  network->plug(worker_host);
  gate.mark(7);
  gate.mark(8);
  Process& second = start_ventilator_host(job);
  EXPECT_NE(gate.next().worker, gate.next().worker) << "the host that was cut off is at work again";
  gate.open(7);
  gate.open(8);
  EXPECT_EQ(exact_summary(second).done, 1000U);
  sink.signal(SIGTERM);
  EXPECT_EQ(sink.wait(), 0);
}

}  // namespace
}  // namespace ventile
