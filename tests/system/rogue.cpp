#include <tests/system/rogue.hpp>

#include <tests/system/process.hpp>

namespace ventile {

Rogue::Rogue(const std::string& dispatcher, Role role, Keys keys)
    : role_(role),
      keys_(std::move(keys)),
      socket_(context_, {.connection = {.curve = keys_.to_meet(KeyRole::dispatcher)}}) {
  assign_random(incarnation);
  assign_random(node);
  reactor_.add(socket_, [this] {
    Frame frame;
    if (!socket_.receive(frame)) return Reading::drained;
    heard_.emplace_back().append(frame.bytes());
    return Reading::more;
  });
  EXPECT_TRUE(socket_.connect(*Endpoint::parse(dispatcher)));
}

Rogue::~Rogue() { reactor_.remove(socket_); }

Hello Rogue::hello(const std::string& function, std::uint64_t credit) const {
  Hello hello;
  hello.role = role_;
  hello.node = node;
  hello.name = "rogue";
  hello.greeting = 1;
  if (role_ == Role::sink) hello.results_address = "tcp://127.0.0.1:1";
  if (role_ == Role::worker) {
    hello.slots = 1;
    hello.functions = {{function, true}};
    hello.credit = {credit, credit == 0 ? 0 : UINT64_MAX / 2};
  }
  return hello;
}

std::vector<Hello> Rogue::absurd_hellos() const {
  Hello large = hello("hold", UINT64_MAX);
  large.slots = UINT32_MAX;
  Hello nameless = hello("hold");
  nameless.node = {};
  return {large, nameless};
}

void Rogue::enrol(const Hello& hello) {
  say(hello, {}, {});
  hear<Welcome>();
  session = envelope.session;
}

bool Rogue::comes_in(const Hello& hello) {
  say(hello, {}, {});
  bool welcome = false;
  EXPECT_TRUE(hear_until([&](const Message& heard) {
    welcome = std::holds_alternative<Welcome>(heard);
    return welcome || std::holds_alternative<Refused>(heard);
  })) << "it is neither let in nor refused";
  if (welcome) session = envelope.session;
  return welcome;
}

Buffer Rogue::frame_of(const Message& message, JobId job, SessionId in) {
  PayloadWriter payloads{frame_header_size};
  std::uint64_t count = 0;
  if (const auto* results = std::get_if<Results>(&message)) count = results->folded ? 1 : results->range.count;
  if (const auto* offer = std::get_if<Offer>(&message)) count = offer->range.count;
  if (std::holds_alternative<Part>(message)) count = 1;
  const std::byte nil{0xc0};
  for (std::uint64_t i = 0; i < count; ++i) payloads.append(Bytes{&nil, 1});
  return encode({job, incarnation, in, ++sequence_}, message, std::move(payloads));
}

void Rogue::say(const Message& message, JobId job, SessionId in) { say_bytes(frame_of(message, job, in)); }

void Rogue::say(const Message& message, JobId job, SessionId in, Bytes payload) {
  PayloadWriter payloads{frame_header_size};
  payloads.append(payload);
  say_bytes(encode({job, incarnation, in, ++sequence_}, message, std::move(payloads)));
}

void Rogue::say_bytes(const Buffer& bytes) {
  Frame frame = Frame::copy_of(bytes);
  EXPECT_TRUE(turn_until([&] { return socket_.send(frame) == SendOutcome::sent; }));
}

void Rogue::push(const std::string& sink, const Message& message, JobId job) {
  if (push_ == nullptr || pushed_to_ != sink) {
    push_ = std::make_unique<PushSocket>(context_, PushOptions{.connection = {.curve = keys_.to_meet(KeyRole::sink)}});
    EXPECT_TRUE(push_->connect(*Endpoint::parse(sink)));
    pushed_to_ = sink;
  }
  const Buffer bytes = frame_of(message, job, {});
  Frame frame = Frame::copy_of(bytes);
  EXPECT_TRUE(turn_until([&] { return push_->send(frame) == SendOutcome::sent; }));
}

void Rogue::hear_its_end() {
  EXPECT_TRUE(hear_until([](const Message& heard) {
    return std::holds_alternative<Refused>(heard) || std::holds_alternative<Bye>(heard) ||
           std::holds_alternative<HelloAgain>(heard);
  })) << "its session goes on";
}

bool Rogue::hear_until(const std::function<bool(const Message&)>& wanted) {
  bool done = false;
  turn_until([&] {
    while (!done && !heard_.empty()) {
      const Buffer frame = std::move(heard_.front());
      heard_.pop_front();
      const Result<Received> received = decode(frame);
      done = received && wanted(received->message);
      if (done) envelope = received->envelope;
    }
    return done;
  });
  return done;
}

bool Rogue::turn_until(const std::function<bool()>& done) {
  bool is_done = done();
  if (is_done) return true;
  const TimerId give_up = reactor_.call_at(reactor_.now() + guard, [this] { reactor_.stop(); });
  TimerId tick;
  const std::function<void()> set_tick = [&] {
    tick = reactor_.call_at(reactor_.now() + std::chrono::milliseconds{1}, set_tick);
  };
  set_tick();
  reactor_.on_turn_end([&] {
    is_done = is_done || done();
    if (is_done) reactor_.stop();
  });
  reactor_.run();
  reactor_.on_turn_end({});
  reactor_.cancel(tick);
  reactor_.cancel(give_up);
  return is_done;
}

}  // namespace ventile
