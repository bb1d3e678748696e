// Bytes as text (RFC 4648, with padding), for what JSON cannot hold.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <ventile/base/buffer.hpp>

namespace ventile {

void append_base64(Bytes bytes, std::string& out);

// Nothing unless `text` is exactly what append_base64 writes for some bytes.
std::optional<Buffer> decode_base64(std::string_view text);

}  // namespace ventile
