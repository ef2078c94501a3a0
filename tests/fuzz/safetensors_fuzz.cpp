// Any bytes as a safetensors file: what is accepted can be read completely, inside its bounds.
#include <attend/base/error.hpp>
#include <attend/io/safetensors.hpp>

#include <cstdint>
#include <cstdlib>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  // A copy of its own size, so that a read past the end is seen.
  const auto copy = std::make_shared<std::vector<std::byte>>(size);
  for (size_t i = 0; i < size; ++i) (*copy)[i] = static_cast<std::byte>(bytes[i]);
  try {
    const auto file = attend::SafeTensors::from_bytes(copy, std::span<const std::byte>(*copy), "input");
    uint64_t sum = 0;
    for (const auto& entry : file.entries()) {
      if (file.find(entry.name) != &entry) std::abort();
      for (std::byte byte : file.bytes(entry.name)) sum += static_cast<uint64_t>(byte);
      try {
        const attend::Tensor tensor = file.tensor(entry.name);
        if (tensor.bytes() != entry.end - entry.begin) std::abort();
        const auto* data = static_cast<const uint8_t*>(tensor.memory());
        for (size_t i = 0; i < tensor.bytes(); ++i) sum += data[i];
      } catch (const attend::Unsupported&) {
      }
    }
    volatile uint64_t used = sum;
    (void)used;
  } catch (const attend::FormatError&) {
  }
  return 0;
}
