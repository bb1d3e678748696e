#include <ventile/net/detention.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include <ventile/net/descriptors.hpp>

namespace ventile {
namespace {

constexpr std::size_t descriptors_per_one_held = 8;

// What comes on this connection is dropped by the kernel before anybody can read it, and so is what has come.
bool make_deaf(int descriptor) {
  sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &drop_all};
  if (::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) return false;
  (void)::recv(descriptor, nullptr, std::numeric_limits<int>::max(), MSG_TRUNC | MSG_DONTWAIT);
  return true;
}

// The filter goes first: with it, the kernel would not hear that the other side has heard.
void end(int descriptor) {
  const int unused = 0;
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
  (void)::shutdown(descriptor, SHUT_RDWR);
}

}  // namespace

Detention::Detention(Limits limits) : limits_(limits) {
  const std::uint64_t limit = descriptor_limit();
  limits_.held_max = std::min<std::uint64_t>(limits_.held_max, limit / descriptors_per_one_held);
  descriptors_end_ = limit - descriptors_kept_back(limit);
}

Detention::~Detention() { release(never); }

// The duplicate is the same connection whatever becomes of the descriptor.
void Detention::take(int descriptor, std::uint64_t cookie, TimePoint now) {
  const int held = held_.size() < limits_.held_max ? ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0) : -1;
  if (held >= 0 && static_cast<std::uint64_t>(held) < descriptors_end_ && cookie_of(held) == cookie &&
      make_deaf(held) && ::shutdown(held, SHUT_RD) == 0) {
    held_.push_back({held, now + limits_.time});
    return;
  }
  turn_away(held >= 0 ? held : descriptor, cookie);
  if (held >= 0) ::close(held);
}

void Detention::turn_away(int descriptor, std::uint64_t cookie) {
  if (cookie_of(descriptor) == cookie) end(descriptor);
}

void Detention::release(TimePoint now) {
  for (; !held_.empty() && held_.front().until <= now; held_.pop_front()) {
    end(held_.front().descriptor);
    ::close(held_.front().descriptor);
  }
}

}  // namespace ventile
