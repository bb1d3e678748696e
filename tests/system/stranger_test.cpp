// Peers that speak another version, or no protocol at all, at every port of a job.
#include <zmq.h>

#include <array>
#include <random>

#include <tests/core/net/stranger.hpp>
#include <tests/system/fabric.hpp>
#include <ventile/base/crc32c.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

constexpr std::size_t version_offset = 4;
constexpr std::size_t header_checksum_offset = 68;

std::string frame_of(const Message& message) {
  const Buffer frame = encode({{}, {7}, {}, 1}, message);
  return std::string{as_text(frame)};
}

Hello hello_of(Role role) {
  Hello hello;
  hello.role = role;
  assign_random(hello.node);
  hello.name = "stranger";
  return hello;
}

// The same frame, sound in itself, of the version after ours.
std::string of_another_version(std::string frame) {
  frame[version_offset] = static_cast<char>(protocol_version + 1);
  const std::uint32_t checksum = crc32c(as_bytes(frame).first(header_checksum_offset));
  for (std::size_t i = 0; i < 4; ++i) frame[header_checksum_offset + i] = static_cast<char>(checksum >> (8 * i));
  return frame;
}

// A dispatcher of another version: answers the first message that comes in.
class ForeignDispatcher {
public:
  ForeignDispatcher() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_ROUTER)) {
    const int time = static_cast<int>(std::chrono::milliseconds{guard}.count());
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &time, sizeof time);
    std::array<char, 64> address{};
    std::size_t size = address.size();
    EXPECT_EQ(zmq_bind(socket_, "tcp://127.0.0.1:*"), 0);
    EXPECT_EQ(zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, address.data(), &size), 0);
    address_ = address.data();
  }
  ~ForeignDispatcher() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  ForeignDispatcher(const ForeignDispatcher&) = delete;
  ForeignDispatcher& operator=(const ForeignDispatcher&) = delete;

  const std::string& address() const { return address_; }
  void answer(const std::string& frame) {
    std::array<char, 256> routing_id{};
    const int size = zmq_recv(socket_, routing_id.data(), routing_id.size(), 0);
    ASSERT_GT(size, 0) << "nobody has come";
    std::array<char, 65536> hello{};
    zmq_recv(socket_, hello.data(), hello.size(), 0);
    zmq_send(socket_, routing_id.data(), static_cast<std::size_t>(size), ZMQ_SNDMORE);
    zmq_send(socket_, frame.data(), frame.size(), 0);
  }

private:
  void* context_;
  void* socket_;
  std::string address_;
};

TEST_F(SystemTest, a_worker_and_a_sink_of_another_version_than_the_dispatcher_say_both_and_end) {
  for (const Role role : {Role::worker, Role::sink}) {
    ForeignDispatcher dispatcher;
    address_ = dispatcher.address();
    Process& peer = role == Role::worker ? start_worker() : start_sink();
    dispatcher.answer(of_another_version(frame_of(Welcome{500, 2000, 1})));
    EXPECT_EQ(peer.wait(), 4);
    EXPECT_NE(peer.line_with("version 2, this").find("version 1;"), std::string::npos) << peer.errors();
  }
}

TEST_F(SystemTest, a_client_of_another_version_than_the_broker_says_both_and_ends) {
  for (const Arguments& command : {Arguments{"health"}, {"map", "--range", "0:1", "--function", "index"}}) {
    ForeignDispatcher dispatcher;
    Arguments arguments = command;
    arguments.insert(arguments.end(), {"--connect", dispatcher.address(), "--patience", "100s"});
    if (command.front() == "map") arguments.resize(arguments.size() - 2);
    Process& client = start("ventile", arguments);
    dispatcher.answer(of_another_version(frame_of(Welcome{500, 2000, 1})));
    EXPECT_EQ(client.wait(), 4);
    EXPECT_NE(client.errors().find("version 2, this client version 1"), std::string::npos) << client.errors();
  }
}

TEST_F(SystemTest, a_dispatcher_names_both_versions_and_serves_its_own) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "index"});
  const Endpoint endpoint = *Endpoint::parse(address_);
  Stranger stranger{Stranger::Kind::dealer, endpoint};
  stranger.send({of_another_version(frame_of(hello_of(Role::worker)))});
  const std::string line = ventilator.line_with("speaks protocol version 2");
  EXPECT_NE(line.find("this dispatcher version 1"), std::string::npos) << line;
  start_sink();
  start_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
}

// --- Garbage -------------------------------------------------------------------------------------------------------

std::string noise(std::mt19937_64& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Everything at once that is not our protocol. Lives until the job is over: half messages stay half.
class Rabble {
public:
  Rabble(const Endpoint& endpoint, Stranger::Kind kind) {
    std::mt19937_64 random{20'240'601};
    const std::string greeting("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16);
    for (const std::string& bytes : {noise(random, 4096), RawConnection::unacceptable_greeting(), greeting,
                                     std::string{"GET / HTTP/1.1\r\n\r\n"}, std::string{}})
      connections_.emplace_back(std::make_unique<RawConnection>(endpoint))->send(bytes);
    const std::string hello = frame_of(hello_of(Role::worker));
    for (const std::string& bytes : {noise(random, 200), noise(random, 100'000), std::string{}, hello.substr(0, 50),
                                     hello.substr(0, hello.size() - 1), hello + "x", frame_of(Stored{}),
                                     frame_of(Progress{}), frame_of(hello_of(Role::sink)), frame_of(Results{})})
      strangers_.emplace_back(std::make_unique<Stranger>(kind, endpoint))->send({bytes});
    strangers_.emplace_back(std::make_unique<Stranger>(kind, endpoint))->send({hello, noise(random, 10), hello});
  }

private:
  std::vector<std::unique_ptr<RawConnection>> connections_;
  std::vector<std::unique_ptr<Stranger>> strangers_;
};

TEST_F(SystemTest, garbage_at_every_port_changes_no_result) {
  Gate gate{path("gate")};
  gate.mark(0);
  Process& ventilator = start_ventilator({"--range", "0:20000", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink();
  const std::string line = sink.line_with("results come in on ");
  start_worker();
  gate.next();  // The job runs, and does not end before all have come.
  const Rabble at_the_dispatcher{*Endpoint::parse(address_), Stranger::Kind::dealer};
  const Rabble at_the_sink{*Endpoint::parse(line.substr(line.rfind(' ') + 1)), Stranger::Kind::push};
  ventilator.line_with("refused a message");
  sink.line_with("refused bytes on the results socket");
  gate.open(0);
  EXPECT_EQ(exact_summary(ventilator).done, 20'000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(20'000));
}

}  // namespace
}  // namespace ventile
