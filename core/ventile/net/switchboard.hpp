// Connects the sockets of a context that meet over inproc. Only for the sources of this folder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <ventile/net/local_end.hpp>

namespace ventile {

// From any thread. Who binds an address gets everybody who has asked for it and everybody who does so later; who loses
// its host waits for the next one.
class Switchboard {
public:
  // False if the address is taken.
  bool bind(const std::string& address, const std::shared_ptr<LocalEnd>& host);
  void connect(const std::string& address, const std::shared_ptr<LocalEnd>& guest);  // To one address at a time.
  void close(const std::shared_ptr<LocalEnd>& end);
  void ring_all() const;

private:
  struct Guest {
    std::string address;
    std::shared_ptr<LocalEnd> end;
  };

  mutable std::mutex mutex_;  // Guards what follows, and that connections are made and broken one after the other.
  std::map<std::string, std::shared_ptr<LocalEnd>> hosts_;
  std::map<const LocalEnd*, Guest> guests_;
  std::uint64_t connections_ = 0;

  void join(const std::shared_ptr<LocalEnd>& host, const std::shared_ptr<LocalEnd>& guest);
};

}  // namespace ventile
