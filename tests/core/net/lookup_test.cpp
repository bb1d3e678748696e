#include <ventile/net/lookup.hpp>

#include <future>
#include <memory>
#include <optional>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>

#include "fixture.hpp"

namespace ventile {
namespace {

class LookupTest : public NetTest {
protected:
  Endpoint name = endpoint("tcp://somewhere:5570");
  Endpoint address = endpoint("tcp://192.0.2.7:5570");
  std::optional<Result<Endpoint>> found;
  Lookup::OnFound note = [this](const Result<Endpoint>& what) { found = what; };
};

TEST_F(LookupTest, the_answer_comes_in_a_turn_of_the_reactor_and_was_found_on_another_thread) {
  std::promise<std::thread::id> looked;
  Lookup lookup{reactor, [&](const Endpoint& asked) -> Result<Endpoint> {
                  looked.set_value(std::this_thread::get_id());
                  return asked == name ? address : asked;
                }};
  lookup.start(name, note);
  EXPECT_TRUE(lookup.in_progress());
  EXPECT_FALSE(found);
  ASSERT_TRUE(turn_until([&] { return found.has_value(); }));
  EXPECT_EQ(**found, address);
  EXPECT_NE(looked.get_future().get(), std::this_thread::get_id());
  EXPECT_FALSE(lookup.in_progress());
}

TEST_F(LookupTest, a_failure_is_an_answer_and_another_may_be_asked_for_then) {
  int asked = 0;
  Lookup lookup{reactor, [&](const Endpoint&) -> Result<Endpoint> {
                  if (++asked == 1) return Error{Code::unavailable, "not yet"};
                  return address;
                }};
  lookup.start(name, [&](const Result<Endpoint>& first) {
    EXPECT_EQ(first.error().message, "not yet");
    lookup.start(name, note);
  });
  ASSERT_TRUE(turn_until([&] { return found.has_value(); }));
  EXPECT_EQ(**found, address);
}

TEST_F(LookupTest, nobody_waits_for_a_name_service_that_does_not_answer) {
  std::promise<void> answer;
  const auto answered = std::make_shared<std::binary_semaphore>(0);
  {
    // What the thread that is left behind has is its own.
    Lookup lookup{
        reactor,
        [answered, address = address, held = answer.get_future().share()](const Endpoint&) -> Result<Endpoint> {
          held.wait();
          answered->release();
          return address;
        }};
    lookup.start(name, note);
    lookup.start(name, note);  // One at a time.
  }
  answer.set_value();
  answered->acquire();
  bool turned = false;
  reactor.post([&] { turned = true; });
  ASSERT_TRUE(turn_until([&] { return turned; }));
  EXPECT_FALSE(found);
}

}  // namespace
}  // namespace ventile
