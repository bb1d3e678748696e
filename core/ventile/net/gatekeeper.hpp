// Who comes in: the ZAP handler of a context. Only for the sources of this folder.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include <ventile/base/log.hpp>
#include <ventile/net/curve.hpp>

namespace ventile {

// libzmq asks it, at inproc://zeromq.zap.01 and on a thread of its own, about every handshake at a socket that has a
// domain of this gatekeeper. It answers from that domain's Admission, and tells the socket the public key as the
// User-Id of every message. Whatever is not a well-formed question about a known domain is refused; a socket insists on
// an answer (ZAP_ENFORCE_DOMAIN), so without a gatekeeper nobody comes in. An exception on its thread ends the process.
class Gatekeeper {
public:
  // Throws std::runtime_error if it cannot have the address. `context` is libzmq's.
  Gatekeeper(void* context, Log log);
  // Shut the context down first: that ends the thread.
  ~Gatekeeper();
  Gatekeeper(const Gatekeeper&) = delete;
  Gatekeeper& operator=(const Gatekeeper&) = delete;

  // From any thread. Returns the name of the new domain, for ZMQ_ZAP_DOMAIN.
  std::string open(std::shared_ptr<Admission> admission);
  void close(const std::string& domain);

  // A key that somebody will try on purpose: refused like any other, but not worth a line in the log.
  void expect(const std::string& public_key);

private:
  struct Question;

  Log log_;
  void* socket_;
  RateLimit refusals_;  // The thread's own, as the socket is from its start on.
  std::mutex mutex_;    // Guards what follows.
  std::map<std::string, std::shared_ptr<Admission>, std::less<>> domains_;
  std::set<std::string, std::less<>> expected_;
  std::uint64_t opened_ = 0;
  std::thread thread_;

  void run() noexcept;
  void answer_all();
  std::optional<std::string> admit(const Question& question);  // The public key of who may come in.
  void refresh();
};

}  // namespace ventile
