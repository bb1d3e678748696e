// The floor: ventilator, worker and sink over bare libzmq, one message per task, nothing remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ventile::bench {

inline constexpr std::size_t task_bytes = 32;

// All below throw std::runtime_error if libzmq refuses something or if nothing comes for a minute.
class RawContext {
public:
  RawContext();
  ~RawContext();  // Waits until everything is sent.
  RawContext(const RawContext&) = delete;
  RawContext& operator=(const RawContext&) = delete;

  void* handle() const { return handle_; }

private:
  void* handle_;
};

class RawSocket {
public:
  RawSocket(const RawContext& context, int kind);
  ~RawSocket();
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  std::string bind(const std::string& address);  // Returns the address with its real port.
  void connect(const std::string& address);
  void send(const void* bytes, std::size_t size, int flags = 0);
  std::size_t receive(void* bytes, std::size_t size);
  void send_constant(void* bytes, std::size_t size);  // Without a copy: they stay and never change.
  std::size_t receive_in_place();                     // Returns the size.
  void forward_to(RawSocket& other);                  // One message, without a copy.

private:
  void* socket_;
};

struct RawJob {
  std::uint64_t tasks = 0;
  std::size_t bytes = task_bytes;  // Of each.
};

// PUSH -> PULL, PUSH -> PULL. Whoever binds says where through `announce`. Large tasks are never copied on this side.
using Announce = std::function<void(const std::string& address)>;
void raw_ventilator(const RawContext& context, const std::string& worker, const RawJob& job);
void raw_worker(const RawContext& context, const std::string& bind, const std::string& sink, const RawJob& job,
                const Announce& announce);
// Returns the seconds from the first task to the last.
double raw_sink(const RawContext& context, const std::string& bind, const RawJob& job, const Announce& announce);

// One task at a time over the hops that Ventile takes, with threads: ROUTER to DEALER, handed over to another thread
// and back, then PUSH to PULL, which starts the next. Seconds of each.
std::vector<double> raw_lone_tasks(const std::string& router, const std::string& pull, std::size_t count);

}  // namespace ventile::bench
