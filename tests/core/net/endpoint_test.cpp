#include <ventile/net/endpoint.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.hpp"

namespace ventile {
namespace {

using testing::HasSubstr;

TEST(Endpoint, what_was_parsed_is_written_as_it_was_read) {
  for (const char* text : {"tcp://127.0.0.1:5570", "tcp://[::1]:0", "tcp://*:5570", "tcp://some-host.example:1",
                           "tcp://eth0:65535", "ipc:///run/ventile", "inproc://tasks"}) {
    EXPECT_EQ(endpoint(text).to_string(), text);
    EXPECT_EQ(endpoint(endpoint(text).to_string()), endpoint(text));
  }
}

TEST(Endpoint, the_parts_are_found) {
  EXPECT_EQ(endpoint("tcp://[fe80::1%eth0]:5570"), (Endpoint{Transport::tcp, "fe80::1%eth0", 5570}));
  EXPECT_EQ(endpoint("tcp://host:*"), (Endpoint{Transport::tcp, "host", 0}));
  EXPECT_EQ(endpoint("ipc:///a:b"), (Endpoint{Transport::ipc, "/a:b", 0}));
}

TEST(Endpoint, a_refusal_says_what_was_expected) {
  const auto refusal = [](std::string_view text) {
    const Result<Endpoint> parsed = Endpoint::parse(text);
    EXPECT_FALSE(parsed) << text;
    return parsed ? std::string() : parsed.error().message;
  };
  EXPECT_THAT(refusal(""), HasSubstr("tcp://host:port, ipc:///path or inproc://name"));
  EXPECT_THAT(refusal("localhost:5570"), HasSubstr("tcp://host:port"));
  EXPECT_THAT(refusal("udp://localhost:5570"), HasSubstr("'udp://localhost:5570' is not an address"));
  EXPECT_THAT(refusal("tcp://localhost"), HasSubstr("a port"));
  EXPECT_THAT(refusal("tcp://localhost:"), HasSubstr("from 0 to 65535"));
  EXPECT_THAT(refusal("tcp://localhost:65536"), HasSubstr("from 0 to 65535"));
  EXPECT_THAT(refusal("tcp://localhost:-1"), HasSubstr("from 0 to 65535"));
  EXPECT_THAT(refusal("tcp://localhost:5570x"), HasSubstr("from 0 to 65535"));
  EXPECT_THAT(refusal("tcp://:5570"), HasSubstr("a host name"));
  EXPECT_THAT(refusal("tcp://a;b:5570"), HasSubstr("a host name"));
  EXPECT_THAT(refusal("tcp://::1:5570"), HasSubstr("brackets"));
  EXPECT_THAT(refusal("tcp://[::1]"), HasSubstr("a port"));
  EXPECT_THAT(refusal("tcp://[host]:5570"), HasSubstr("within the brackets"));
  EXPECT_THAT(refusal("ipc://"), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal("ipc:///" + std::string(107, 'x')), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal("inproc://" + std::string(256, 'x')), HasSubstr("1 to 255 bytes"));
}

TEST(Endpoint, only_what_nobody_else_can_reach_is_loopback) {
  for (const char* text : {"tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://[::1]:1", "tcp://[0:0:0:0:0:0:0:1]:1",
                           "tcp://localhost:1", "ipc:///x", "inproc://x"}) {
    EXPECT_TRUE(endpoint(text).is_loopback()) << text;
  }
  for (const char* text : {"tcp://*:1", "tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://10.0.0.1:1", "tcp://127.example:1"}) {
    EXPECT_FALSE(endpoint(text).is_loopback()) << text;
  }
}

TEST(Endpoint, wildcards_are_known_however_they_are_written) {
  for (const char* text : {"tcp://*:1", "tcp://0.0.0.0:1", "tcp://[::]:1"}) EXPECT_TRUE(endpoint(text).is_wildcard());
  for (const char* text : {"tcp://127.0.0.1:1", "tcp://[::1]:1", "ipc://*"}) EXPECT_FALSE(endpoint(text).is_wildcard());
}

TEST(Endpoint, a_name_is_resolved_to_an_address) {
  const Result<Endpoint> resolved = resolve(endpoint("tcp://localhost:5570"));
  ASSERT_TRUE(resolved);
  EXPECT_NE(resolved->host, "localhost");
  EXPECT_TRUE(resolved->is_loopback());
  EXPECT_EQ(resolved->port, 5570);
}

TEST(Endpoint, an_address_is_resolved_to_itself) {
  for (const char* text : {"tcp://*:1", "tcp://10.1.2.3:1", "tcp://[2001:db8::1]:1", "ipc:///x", "inproc://x"}) {
    const Result<Endpoint> resolved = resolve(endpoint(text));
    ASSERT_TRUE(resolved);
    EXPECT_EQ(*resolved, endpoint(text));
  }
}

TEST(Endpoint, a_name_that_cannot_be_resolved_is_reported_with_the_reason) {
  const std::string host(64, 'x');  // Longer than a label may be, so that no name server need be asked.
  const Result<Endpoint> resolved = resolve(Endpoint{Transport::tcp, host, 5570});
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().code, Code::unavailable);
  EXPECT_THAT(resolved.error().message, HasSubstr("'" + host + "' cannot be looked up: "));
}

TEST(Endpoint, the_way_to_this_machine_starts_at_this_machine) {
  const Result<std::string> four = local_address_towards(endpoint("tcp://127.0.0.1:5570"));
  ASSERT_TRUE(four);
  EXPECT_EQ(*four, "127.0.0.1");
  const Result<std::string> named = local_address_towards(endpoint("tcp://localhost:5570"));
  ASSERT_TRUE(named);
  EXPECT_EQ(*named, "127.0.0.1");
}

TEST(Endpoint, there_is_no_way_to_a_wildcard_or_a_path) {
  EXPECT_FALSE(local_address_towards(endpoint("tcp://*:5570")));
  EXPECT_FALSE(local_address_towards(endpoint("ipc:///x")));
}

}  // namespace
}  // namespace ventile
