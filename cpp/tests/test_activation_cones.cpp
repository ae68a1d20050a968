#include "cvxnn/activation_cones.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct Cones {
  DataMatrix<double> x, gates;
  Patterns patterns;
  ActivationCones cones;

  Cones(DataMatrix<double> data, DataMatrix<double> its_gates)
      : x(std::move(data)),
        gates(std::move(its_gates)),
        patterns(packed(x, gates)),
        cones(map(x), patterns.view()) {}

  static Patterns packed(const DataMatrix<double>& x, const DataMatrix<double>& gates) {
    Patterns patterns(x.rows(), gates.cols());
    pack_patterns(map(x), map(gates), Vector(), 1, patterns.words().data());
    return patterns;
  }
  Matrix half_spaces(Index block) const {
    Vector signs(cones.rows().rows());
    cones.signs(block, signs);
    return signs.asDiagonal() * cones.rows();
  }
};

TEST_CASE("half-spaces are the unit rows, with the signs of the pattern, without zero rows") {
  DataMatrix<double> x = random_data<double>(70, 3, 1);
  x.row(5).setZero();
  const Cones c(x, random_data<double>(3, 4, 2));
  REQUIRE(c.cones.rows().rows() == 69);
  for (const Index block : {0, 3, 7}) {
    const Matrix H = c.half_spaces(block);
    CHECK((H.rowwise().norm().array() - 1.0).abs().maxCoeff() <= 1e-14);
    CHECK((H * c.gates.col(block % 4)).minCoeff() > 0.0);
  }
}

}  // namespace
}  // namespace cvxnn
