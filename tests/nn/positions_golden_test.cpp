// The sinusoids of golden/attention/hand.json.
#include "golden.hpp"

#include <attend/base/json.hpp>
#include <attend/nn/positions.hpp>
#include <nlohmann/json.hpp>

#include <doctest/doctest.h>

using namespace attend;

TEST_CASE("golden: position tables, interleaved and in halves") {
  const auto positions = read_json(testing::golden_folder() / "attention" / "hand.json").at("positions");
  const auto width = positions.at("d").get<int64_t>();
  for (const auto& [name, kind] : {std::pair{"interleaved", PositionKind::sinusoidal_interleaved},
                                   std::pair{"halves_marian", PositionKind::sinusoidal_halves}}) {
    CAPTURE(name);
    const auto want = positions.at(name).get<std::vector<std::vector<double>>>();
    const Tensor table = sinusoids(kind, static_cast<int64_t>(want.size()), width);
    for (size_t p = 0; p < want.size(); ++p)
      for (size_t j = 0; j < want[p].size(); ++j)
        CHECK(table.values<float>()[p * static_cast<size_t>(width) + j] == doctest::Approx(want[p][j]).epsilon(1e-6));
  }
}
