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

TEST_CASE("what is kept of a projection bounds those of other points, closely those near by") {
  const Cones c(random_data<double>(60, 6, 5), random_data<double>(6, 8, 6));
  for (Index block = 0; block < 8; ++block) {
    CAPTURE(block);
    LastProjection last;
    const Vector first = random_matrix(6, 1, 20 + block);
    CHECK(last.bound(first) == first.norm());
    Vector a = first;
    c.cones.project(block, a, &last);
    CHECK(last.bound(first) == doctest::Approx(a.norm()).epsilon(1e-12));
    for (const double away : {1e-3, 0.1, 1.0, 100.0}) {
      const Vector other = first + away * random_matrix(6, 1, 30 + block);
      Vector projected = other;
      c.cones.project(block, projected);
      CHECK(last.bound(other) >= (1.0 - 1e-12) * projected.norm());
      CHECK(last.bound(other) <= other.norm());
      CHECK(last.bound(other) <= a.norm() + (other - first).norm());
    }
  }
}

TEST_CASE("of a projection that hardly moves no direction is kept") {
  const Cones c(random_data<double>(60, 4, 7), random_data<double>(4, 3, 8));
  for (Index block = 0; block < 3; ++block) {
    LastProjection last;
    const Vector gate = c.gates.col(block);
    Vector a = gate;
    CHECK(c.cones.project(block, a, &last));
    CHECK(last.polar.size() == 0);
    CHECK(last.bound(gate) == gate.norm());
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
