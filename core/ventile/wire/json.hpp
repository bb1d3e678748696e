// msgpack to JSON text and back, for people, files and other programs.
//
// What JSON cannot say is written so:
//
//   binary, and strings that are not UTF-8   {"$bytes":"<base64>"}
//   extension                                {"$ext":[<type>,"<base64>"]}
//   NaN and the infinities                   null
//   a map's key that is not a string         its JSON text, as a string
//   a real without a fraction                with ".0", so that it stays a real
//
// and {"$bytes":"<base64>"} is read back as binary; the others are one way. The brackets of "$bytes" and "$ext" count
// as levels of nesting, of which there are at most unpack_depth_max: what is written can be read.
#pragma once

#include <string>
#include <string_view>

#include <ventile/base/result.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {

// Appends the next value of `unpacker` to `out` as compact JSON. On failure, as where it nests too deep, `out` is as
// before.
Status append_json(Unpacker& unpacker, std::string& out);

// Packs the one value that `text` holds. Integers that fit 64 bits stay integers; other numbers become doubles.
// On failure nothing is packed, and the message says what was expected and at which column (counted in bytes from 1).
Status pack_json(std::string_view text, Packer& packer);

bool is_utf8(std::string_view text);

}  // namespace ventile
