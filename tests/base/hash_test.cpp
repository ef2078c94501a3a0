#include <attend/base/hash.hpp>

#include <doctest/doctest.h>

using namespace attend;

namespace {
uint64_t hash(std::string_view text, uint64_t seed = 0) {
  Hash64 hash(seed);
  hash.add(text.data(), text.size());
  return hash.value();
}
}  // namespace

TEST_CASE("XXH64 gives the published values") {
  CHECK(hash("") == 0xef46db3751d8e999);
  CHECK(hash("a") == 0xd24ec4f1a98c6e5b);
  CHECK(hash("abc") == 0x44bc2cf5ad770999);
  CHECK(hash("Nobody inspects the spammish repetition") == 0xfbcea83c8a378bf1);
  CHECK(hash("xxhash", 20141025) == 0xb559b98d844e0635);
}

TEST_CASE("a hash does not depend on how the bytes are cut") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Hash64 parts;
    parts.add(text.data(), cut);
    parts.add(text.data() + cut, text.size() - cut);
    REQUIRE(parts.value() == hash(text));
  }
  Hash64 a, b;
  a.add(std::string_view("ab")), a.add(std::string_view("c"));
  b.add(std::string_view("a")), b.add(std::string_view("bc"));
  CHECK(a.value() != b.value());
  CHECK(Hash64().text() == "ef46db3751d8e999");
}
