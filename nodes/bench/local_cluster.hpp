// A broker and its workers as processes of this program, for as long as a measurement takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nodes/child_process.hpp>
#include <ventile/base/result.hpp>
#include <ventile/net/endpoint.hpp>

namespace ventile {

class LocalCluster {
public:
  LocalCluster() = default;
  ~LocalCluster();  // Ends the processes and waits for them.
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  // Starts this program as `broker` at a free place of that transport, and then `workers` times as `worker` with one
  // slot each; they end when this process does. Call it once, before any thread is started. Code::unavailable carries
  // what the broker said if it ended instead.
  Status start(Transport transport, std::uint32_t workers);

  // Everybody is connected: what the cluster has in the file system is not needed any more, and goes, so that nothing
  // is left if this process is killed. Nobody can connect over ipc after that.
  void close_door();

  const std::string& address() const { return address_; }

private:
  std::string address_;
  std::string folder_;                   // For the socket of ipc; empty: none.
  std::vector<ChildProcess> processes_;  // The broker first.
  int said_ = -1;                        // What the broker says on stderr.

  Status spawn(const std::vector<std::string>& words, int standard_error);
  Result<std::string> bound_address() const;
};

}  // namespace ventile
