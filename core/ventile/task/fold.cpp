#include <ventile/task/fold.hpp>

namespace ventile {

void Convert<Scalar>::pack(Packer& packer, const Scalar& value) {
  if (value.is_integer()) {
    packer.pack_signed(value.integer());
  } else {
    packer.pack(value.real());
  }
}

bool Convert<Scalar>::unpack(Unpacker& unpacker, Scalar& value) {
  PackKind kind{};
  if (!unpacker.peek(kind)) return false;
  if (kind == PackKind::negative_integer) {
    std::int64_t integer = 0;
    if (!unpacker.read_signed(integer)) return false;
    value = Scalar{integer};
  } else if (kind == PackKind::unsigned_integer) {
    std::uint64_t integer = 0;
    if (!unpacker.read_unsigned(integer)) return false;
    value = Scalar{integer};
  } else {
    double real = 0;
    if (!unpacker.read(real)) return false;
    value = Scalar{real};
  }
  return true;
}

}  // namespace ventile
