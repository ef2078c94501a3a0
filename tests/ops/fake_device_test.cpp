// The whole table with inputs on the fake device, whose memory nobody may touch through data(): what passes here does
// not assume host memory. Ids, targets and offsets stay on the host, where operations check them.
#include "op_case.hpp"

#include <doctest/doctest.h>

namespace attend::testing {
namespace {

TEST_CASE("operations take inputs that lie on another device") {
  for (const Case& row : all_cases()) {
    CAPTURE(row.name);
    const Expected expected = expected_of(row);
    const Actual host = actual_of(row, expected, true);
    const Actual device = actual_of(row, expected, true, Device::fake);
    CHECK_FALSE(mismatch(row, expected, device));
    CHECK(same_bits(host, device));
  }
}

}  // namespace
}  // namespace attend::testing
