#include "cvxnn/activation_cones.hpp"
#include "cvxnn/errors.hpp"
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
    pack_patterns(map(x), map(gates), Vector(), kThreads, patterns.words().data());
    return patterns;
  }
  Matrix half_spaces(Index block) const {
    Vector signs(cones.rows(block).rows());
    cones.signs(block, signs);
    return signs.asDiagonal() * cones.rows(block);
  }
};

TEST_CASE("half-spaces are the unit rows, with the signs of the pattern, without zero rows") {
  DataMatrix<double> x = random_data<double>(70, 3, 1);
  x.row(5).setZero();
  const Cones c(x, random_data<double>(3, 4, 2));
  REQUIRE(c.cones.rows(0).rows() == 69);
  for (const Index block : {0, 3, 7}) {
    const Matrix H = c.half_spaces(block);
    CHECK((H.rowwise().norm().array() - 1.0).abs().maxCoeff() <= 1e-14);
    CHECK((H * c.gates.col(block % 4)).minCoeff() > 0.0);
  }
}

TEST_CASE("cones of their own rows are those of the same half-spaces in common rows") {
  const Cones c(random_data<double>(12, 3, 3), random_data<double>(3, 4, 4));
  DataMatrix<double> stacked(4 * 12 + 1, 3);
  stacked.row(48).setZero();  // no half-space
  std::vector<Index> starts{0};
  for (Index p = 0; p < 4; ++p) {
    stacked.middleRows(12 * p, 12) = 3.0 * c.half_spaces(p);
    starts.push_back(12 * (p + 1) + (p == 3 ? 1 : 0));
  }
  const ActivationCones own(map(stacked), starts);
  for (Index block = 0; block < 8; ++block) {
    CAPTURE(block);
    REQUIRE(own.rows(block).rows() == 12);
    Vector a = random_matrix(3, 1, 5 + block), expected = a;
    CHECK(own.project(block, a));
    c.cones.project(block, expected);
    CHECK((a - expected).norm() <= 1e-13);
  }
}

TEST_CASE("a cone without rows is the whole space, others beside it are not") {
  DataMatrix<double> stacked(1, 2);
  stacked << 1.0, 0.0;
  const ActivationCones cones(map(stacked), std::vector<Index>{0, 0, 1});
  Vector a(2);
  a << -2.0, 1.0;
  Vector free = a, held = a;
  CHECK(cones.project(0, free));
  CHECK(free == a);
  CHECK(cones.project(1, held));
  CHECK((held - Vector::Unit(2, 1)).norm() <= 1e-15);
}

TEST_CASE("starts that do not cut the rows are refused") {
  const DataMatrix<double> stacked = random_data<double>(3, 2, 1);
  for (const std::vector<Index>& starts :
       {std::vector<Index>{}, {0}, {1, 3}, {0, 2}, {0, 2, 1, 3}}) {
    CHECK_THROWS_AS(ActivationCones(map(stacked), starts), InvalidArgument);
  }
}

}  // namespace
}  // namespace cvxnn
