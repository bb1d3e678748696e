#include <ventile/isolation/messages.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ventile::isolation {
namespace {

constexpr std::uint64_t bytes_max = std::uint64_t{1} << 40;  // Larger is nonsense.

bool is_sane(const Header& header) {
  return header.kind <= Kind::end && header.body_bytes < bytes_max && header.section_bytes < bytes_max &&
         header.payload_count <= header.section_bytes / sizeof(std::uint32_t);
}

}  // namespace

Status write_message(int stream, Kind kind, Bytes body, std::uint32_t payload_count, Bytes section) {
  Header header{kind, payload_count, body.size(), section.size()};
  const auto part = [](const void* data, std::size_t size) { return iovec{const_cast<void*>(data), size}; };
  std::array<iovec, 3> parts{part(&header, sizeof header), part(body.data(), body.size()),
                             part(section.data(), section.size())};
  for (std::size_t first = 0; first < parts.size();) {
    msghdr message{};
    message.msg_iov = &parts[first];
    message.msg_iovlen = parts.size() - first;
    const ssize_t sent = sendmsg(stream, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Error{Code::unavailable, std::strerror(errno)};
    auto left = static_cast<std::size_t>(sent);
    while (first < parts.size() && left >= parts[first].iov_len) left -= parts[first++].iov_len;
    if (first == parts.size()) break;
    parts[first].iov_base = static_cast<std::byte*>(parts[first].iov_base) + left;
    parts[first].iov_len -= left;
  }
  return {};
}

MessageReader::Got MessageReader::next(Incoming& message, bool wait) {
  for (;;) {
    if (const Got got = take(message); got != Got::nothing_yet) return got;
    Got got = Got::nothing_yet;
    if (!receive(wait, got)) return got;
  }
}

MessageReader::Got MessageReader::take(Incoming& message) {
  const Bytes there = bytes_.bytes().subspan(begin_);
  Header header;
  if (there.size() < sizeof header) return Got::nothing_yet;
  std::memcpy(&header, there.data(), sizeof header);
  if (!is_sane(header)) return Got::nonsense;
  const std::uint64_t all = sizeof header + header.body_bytes + header.section_bytes;
  if (there.size() < all) return Got::nothing_yet;
  const Bytes section = there.subspan(sizeof header + header.body_bytes, header.section_bytes);
  const std::size_t table = std::size_t{header.payload_count} * sizeof(std::uint32_t);
  const std::byte* const ends = section.data() + section.size() - table;
  if (!PayloadView::check(ends, header.payload_count, section.size() - table)) return Got::nonsense;
  message = {header.kind, there.subspan(sizeof header, header.body_bytes),
             PayloadView{section.data(), ends, header.payload_count}};
  begin_ += all;
  return Got::message;
}

// Makes room by moving what is left to the front, and reads.
bool MessageReader::receive(bool wait, Got& got) {
  const std::size_t left = bytes_.size() - begin_;
  if (begin_ != 0 && left != 0) std::memmove(bytes_.data(), bytes_.data() + begin_, left);
  bytes_.truncate(left);
  begin_ = 0;
  std::byte* const at = bytes_.extend(chunk_bytes);
  ssize_t read = 0;
  do {
    read = recv(stream_, at, chunk_bytes, wait ? 0 : MSG_DONTWAIT);
  } while (read < 0 && errno == EINTR);
  const int error = errno;
  bytes_.truncate(left + static_cast<std::size_t>(read > 0 ? read : 0));
  if (read > 0) return true;
  got = read < 0 && (error == EAGAIN || error == EWOULDBLOCK) ? Got::nothing_yet : Got::end;
  return false;
}

}  // namespace ventile::isolation
