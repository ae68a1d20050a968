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
        cones(map(x), patterns.view(), map(gates)) {}

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

// Where the gradient of sum_k log(h_k^T u) - n / 2 ||u||^2 vanishes, about: its Newton decrement.
TEST_CASE("centres are near where the barrier is stationary") {
  for (const Index d : {1, 3, 8}) {
    const Cones c(random_data<double>(60, d, 3), random_data<double>(d, 5, 4));
    for (Index block = 0; block < 5; ++block) {
      const Matrix H = c.half_spaces(block);
      const Vector u = c.cones.centre(block), inverse = (H * u).cwiseInverse();
      REQUIRE(inverse.minCoeff() > 0.0);
      const Vector gradient = H.transpose() * inverse - 60.0 * u;
      CHECK(gradient.dot(u) <= 60.0);
      CHECK(gradient.norm() <= 0.3 * (H.transpose() * inverse).norm());
      CHECK(u.norm() == doctest::Approx(1.0).epsilon(0.2));
    }
  }
}

TEST_CASE("the centre of a cone whose gate is on walls is inside") {
  DataMatrix<double> x = random_data<double>(3, 3, 5), gate = random_data<double>(3, 1, 6);
  x.row(0) = Eigen::RowVector3d(0.0, gate(2, 0), -gate(1, 0));  // orthogonal to the gate
  x.row(1) = Eigen::RowVector3d(gate(1, 0), -gate(0, 0), 0.0);
  const Cones c(std::move(x), std::move(gate));
  CHECK((c.half_spaces(0) * c.cones.centre(0)).minCoeff() > 1e-3);
}

}  // namespace
}  // namespace cvxnn
