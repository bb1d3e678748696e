// A line of JSON, and msgpack turned into JSON, which is read back.
#include <tests/fuzz/fuzz.hpp>
#include <ventile/wire/json.hpp>

using namespace ventile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes = fuzz::bytes_of(data, size);
  Buffer packed;
  Packer packer{packed};
  const bool is_json = static_cast<bool>(pack_json(as_text(bytes), packer));
  fuzz::hold(is_json || packed.empty(), "nothing is packed of what is no JSON");
  for (const Bytes value : {packed.bytes(), bytes}) {
    Unpacker unpacker{value};
    std::string text;
    if (!append_json(unpacker, text)) {
      fuzz::hold(text.empty(), "nothing is written of what is no value");
      fuzz::hold(!is_json || value.data() != packed.data(), "what was packed can be unpacked");
      continue;
    }
    Buffer again;
    Packer repacker{again};
    fuzz::hold(static_cast<bool>(pack_json(text, repacker)), "what was written can be read");
  }
  return 0;
}
