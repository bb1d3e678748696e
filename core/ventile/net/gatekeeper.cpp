#include <ventile/net/gatekeeper.hpp>

#include <zmq.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>
#include <vector>

#include <ventile/base/clock.hpp>

namespace ventile {

namespace {

constexpr const char* zap_address = "inproc://zeromq.zap.01";
constexpr std::string_view zap_version = "1.0";
constexpr std::size_t raw_key_size = 32;
constexpr std::size_t parts_max = 16;  // Of a question; it has seven.
constexpr Duration refresh_interval = std::chrono::milliseconds{200};
constexpr Duration refusal_interval = std::chrono::seconds{5};

std::string receive_part(void* socket, bool& more_follow) {
  zmq_msg_t part;
  zmq_msg_init(&part);
  std::string bytes;
  more_follow = false;
  if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0) {
    bytes.assign(static_cast<const char*>(zmq_msg_data(&part)), zmq_msg_size(&part));
    more_follow = zmq_msg_more(&part) != 0;
  }
  zmq_msg_close(&part);
  return bytes;
}

bool is_waiting(void* socket) {
  int events = 0;
  std::size_t size = sizeof events;
  return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

std::string to_text(const std::string& raw_key) {
  std::array<char, curve_key_size + 1> text{};
  zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(raw_key.data()), raw_key.size());
  return text.data();
}

}  // namespace

struct Gatekeeper::Question {
  std::vector<std::string> parts;

  bool well_formed() const {
    return parts.size() == 7 && parts[0] == zap_version && mechanism() == "CURVE" && parts[6].size() == raw_key_size;
  }
  const std::string& id() const { return parts[1]; }
  const std::string& domain() const { return parts[2]; }
  const std::string& address() const { return parts[3]; }
  const std::string& mechanism() const { return parts[5]; }
  const std::string& raw_key() const { return parts[6]; }
};

Gatekeeper::Gatekeeper(void* context, Log log)
    : log_(std::move(log)), socket_(zmq_socket(context, ZMQ_REP)), refusals_(refusal_interval) {
  if (socket_ == nullptr) throw std::runtime_error(std::string("no socket for the gatekeeper: ") + zmq_strerror(errno));
  const int linger = 0;
  zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
  if (zmq_bind(socket_, zap_address) != 0) {
    const std::string why = zmq_strerror(errno);
    zmq_close(socket_);
    throw std::runtime_error("somebody else decides who comes in to this context: " + why);
  }
  thread_ = std::thread([this] { run(); });
}

Gatekeeper::~Gatekeeper() { thread_.join(); }

std::string Gatekeeper::open(std::shared_ptr<Admission> admission) {
  const std::lock_guard lock(mutex_);
  std::string domain = "ventile-" + std::to_string(++opened_);
  domains_.emplace(domain, std::move(admission));
  return domain;
}

void Gatekeeper::close(const std::string& domain) {
  const std::lock_guard lock(mutex_);
  domains_.erase(domain);
}

void Gatekeeper::expect(const std::string& public_key) {
  const std::lock_guard lock(mutex_);
  expected_.insert(public_key);
}

void Gatekeeper::run() noexcept {
  TimePoint next_refresh = Clock::now();
  for (;;) {
    zmq_pollitem_t item{socket_, 0, ZMQ_POLLIN, 0};
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(refresh_interval).count();
    if (zmq_poll(&item, 1, static_cast<long>(patience)) < 0 && errno == ETERM) break;
    answer_all();
    const TimePoint now = Clock::now();
    if (now < next_refresh) continue;
    refresh();
    next_refresh = now + refresh_interval;
  }
  zmq_close(socket_);
}

void Gatekeeper::answer_all() {
  while (is_waiting(socket_)) {
    Question question;
    for (bool more_follow = true; more_follow;) {
      std::string part = receive_part(socket_, more_follow);
      if (question.parts.size() < parts_max) question.parts.push_back(std::move(part));
    }
    const std::optional<std::string> user = admit(question);
    const std::string id = question.parts.size() > 1 ? question.id() : std::string{};
    const std::array<std::string_view, 6> answer{
        zap_version, id, user ? "200" : "400", user ? "" : "no access", user ? std::string_view{*user} : "", ""};
    for (std::size_t i = 0; i < answer.size(); ++i)
      zmq_send(socket_, answer[i].data(), answer[i].size(), i + 1 < answer.size() ? ZMQ_SNDMORE : 0);
  }
}

std::optional<std::string> Gatekeeper::admit(const Question& question) {
  if (!question.well_formed()) return std::nullopt;
  std::string public_key = to_text(question.raw_key());
  std::shared_ptr<Admission> admission;
  bool expected = false;
  {
    const std::lock_guard lock(mutex_);
    if (const auto domain = domains_.find(question.domain()); domain != domains_.end()) admission = domain->second;
    expected = expected_.erase(public_key) > 0;
  }
  if (admission != nullptr && admission->admits(public_key)) return public_key;
  if (admission != nullptr) admission->refresh();  // It may be new: whoever is refused does not try again.
  if (admission != nullptr && admission->admits(public_key)) return public_key;
  if (!expected && refusals_.allow(Clock::now()))
    log_.warning("refused a connection from " + question.address() + ": its key " + public_key + " is not on the list" +
                 (refusals_.held_back() > 0 ? "; " + std::to_string(refusals_.held_back()) + " more since the last line"
                                            : std::string{}));
  return std::nullopt;
}

void Gatekeeper::refresh() {
  std::vector<std::shared_ptr<Admission>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [domain, admission] : domains_) all.push_back(admission);
  }
  for (const auto& admission : all) admission->refresh();
}

}  // namespace ventile
