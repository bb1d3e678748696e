// Types that carry MSGPACK_DEFINE, MSGPACK_DEFINE_ARRAY or MSGPACK_DEFINE_MAP, as arguments and results of tasks.
//
//   struct Reading {
//     std::string sensor;
//     double value = 0;
//     MSGPACK_DEFINE(sensor, value)
//   };
//   tasks.add("calibrate", [](const Reading& reading) { return Reading{reading.sensor, 1.02 * reading.value}; });
//
// The one header of Ventile that includes a library: msgpack-cxx 3 or later (libmsgpack-cxx-dev), which is yours to
// have installed. Include it where such types are packed or read; nothing else of Ventile asks for it. If your program
// defines MSGPACK_NO_BOOST, do so before this header, too.
//
// They nest in every type that convert.hpp knows, and hold whatever msgpack knows. A type that has fields() as well is
// packed by these. As msgpack has it, an array that is too short leaves the last members as they are. What is read must
// not point into the bytes: msgpack::type::raw_ref and the like would dangle.
#pragma once

#if !defined(MSGPACK_NO_BOOST) && !__has_include(<boost/version.hpp>)
#define MSGPACK_NO_BOOST
#endif
#include <msgpack.hpp>

#include <cstddef>
#include <string>

#include <ventile/base/buffer.hpp>
#include <ventile/wire/convert.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace detail {

// What msgpack::packer writes to.
class BufferStream {
public:
  explicit BufferStream(Buffer& buffer) : buffer_(&buffer) {}
  void write(const char* data, std::size_t size) { buffer_->append({reinterpret_cast<const std::byte*>(data), size}); }

private:
  Buffer* buffer_;
};

template <class T>
concept HasMsgpackDefine = std::is_class_v<T> &&
    requires(const T& written, T& read, msgpack::packer<BufferStream>& packer, const msgpack::object& object) {
  written.msgpack_pack(packer);
  read.msgpack_unpack(object);
};

}  // namespace detail

template <class T>
requires(detail::HasMsgpackDefine<T> && !detail::HasFields<T>) struct Convert<T> {
  static void pack(Packer& packer, const T& value) {
    detail::BufferStream stream{packer.buffer()};
    msgpack::packer<detail::BufferStream>{stream}.pack(value);
  }
  static bool unpack(Unpacker& unpacker, T& value) {
    // First ours, which trusts nobody: it allocates nothing and knows how deep and how large the value is.
    Bytes packed;
    if (!unpacker.read_value(packed)) return false;
    try {
      const msgpack::object_handle whole = msgpack::unpack(reinterpret_cast<const char*>(packed.data()), packed.size());
      whole.get().convert(value);
    } catch (const msgpack::type_error&) {
      return detail::fail_text(unpacker, "expected a value that fits its MSGPACK_DEFINE",
                               unpacker.offset() - packed.size());
    }
    return true;
  }
};

}  // namespace ventile
