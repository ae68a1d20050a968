#include "cvxnn/cone_projection.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct Cone {
  DataMatrix<double> x;
  Vector signs;

  // Signs of a random gate, so that the cone has an interior.
  Cone(DataMatrix<double> rows, unsigned seed) : x(std::move(rows)), signs(x.rows()) {
    for (Index i = 0; i < x.rows(); ++i) x.row(i).stableNormalize();
    const Vector gate = random_matrix(x.cols(), 1, seed);
    for (Index i = 0; i < x.rows(); ++i) signs[i] = x.row(i).dot(gate) > 0.0 ? 1.0 : -1.0;
  }
  Matrix half_spaces() const { return signs.asDiagonal() * x; }
};

// The optimality conditions of min ||q - a|| over H q >= 0: q = a + H^T rho, rho >= 0, rho H q = 0.
void check_projection(const Cone& cone, const Vector& a, ConeProjection& projection,
                      bool warm = false) {
  Vector q = a;
  REQUIRE(projection.project(cone.x, cone.signs, q, warm));
  const Matrix H = cone.half_spaces();
  const double size = a.norm();
  CHECK((H * q).minCoeff() >= -1e-12 * size);
  CHECK(std::abs(q.dot(a - q)) <= 1e-12 * size * size);
  Vector rebuilt = a;
  for (std::size_t j = 0; j < projection.passive().size(); ++j) {
    const Index row = projection.passive()[j];
    CHECK(projection.multipliers()[j] >= 0.0);
    CHECK(std::abs(H.row(row).dot(q)) <= 1e-12 * size);
    rebuilt += projection.multipliers()[j] * H.row(row).transpose();
  }
  CHECK((rebuilt - q).norm() <= 1e-9 * size);
}

TEST_CASE("projections satisfy their optimality conditions") {
  for (const auto& [n, d] : std::vector<std::pair<Index, Index>>{
           {1, 1}, {1, 4}, {5, 1}, {40, 2}, {30, 5}, {8, 20}, {400, 12}}) {
    const Cone cone(random_data<double>(n, d, 1), 2);
    ConeProjection projection(d);
    for (unsigned seed = 3; seed < 13; ++seed) {
      check_projection(cone, random_matrix(d, 1, seed), projection);
    }
  }
}

TEST_CASE("a warm start leads to the same projection") {
  const Cone cone(random_data<double>(200, 8, 1), 2);
  ConeProjection warm(8), cold(8);
  Vector a = random_matrix(8, 1, 3);
  for (unsigned step = 0; step < 20; ++step) {
    a += 0.2 * random_matrix(8, 1, 4 + step);
    check_projection(cone, a, warm, true);
    Vector p = a, q = a;
    warm.project(cone.x, cone.signs, p, true);
    cold.project(cone.x, cone.signs, q);
    CHECK((p - q).norm() <= 1e-11 * a.norm());
  }
}

TEST_CASE("the face spans where the projection moves") {
  const Cone cone(random_data<double>(200, 8, 1), 2);
  ConeProjection projection(8);
  for (unsigned seed = 3; seed < 13; ++seed) {
    const Vector a = random_matrix(8, 1, seed), move = 1e-7 * random_matrix(8, 1, 20 + seed);
    Vector before = a, after = a + move;
    projection.project(cone.x, cone.signs, before);
    const Matrix face = projection.face();
    REQUIRE(face.cols() == 8 - static_cast<Index>(projection.passive().size()));
    CHECK((face.transpose() * face - Matrix::Identity(face.cols(), face.cols())).norm() <= 1e-13);
    projection.resume(cone.x, cone.signs, after);
    CHECK((after - before - face * (face.transpose() * move)).norm() <= 1e-12);
  }
}

TEST_CASE("a projection that ends early bounds the norm, and so tells what is small enough") {
  const Cone cone(random_data<double>(300, 12, 1), 2);
  ConeProjection projection(12);
  for (unsigned seed = 3; seed < 13; ++seed) {
    const Vector a = random_matrix(12, 1, seed);
    Vector exact = a;
    projection.project(cone.x, cone.signs, exact);
    for (const double share : {0.9, 1.1, 2.0}) {
      Vector early = a;
      projection.begin_with(cone.x, cone.signs, {});
      projection.resume(cone.x, cone.signs, early, share * exact.norm());
      CHECK(early.norm() >= exact.norm() * (1.0 - 1e-12));
      CHECK(early.norm() <= std::max(1.0, share) * exact.norm() * (1.0 + 1e-12));
    }
  }
}

TEST_CASE("rows that repeat, point both ways, nearly repeat or are zero") {
  DataMatrix<double> x = random_data<double>(30, 4, 1);
  x.row(10) = x.row(3);
  x.row(11) = -2.0 * x.row(3);
  x.row(12).setZero();
  x.row(13) = x.row(4) + 1e-9 * x.row(5);
  for (Index i = 14; i < 30; ++i) x.row(i) = x.row(i).array().round().matrix();
  const Cone cone(x, 2);
  ConeProjection projection(4);
  for (unsigned seed = 3; seed < 30; ++seed) {
    check_projection(cone, random_matrix(4, 1, seed), projection);
  }
}

TEST_CASE("points of the cone stay, points of the polar cone go to zero") {
  const Cone cone(random_data<double>(50, 5, 1), 2);
  ConeProjection projection(5);
  const Vector gate = random_matrix(5, 1, 2);
  Vector q = gate;
  CHECK(projection.project(cone.x, cone.signs, q));
  CHECK(q == gate);
  q = -cone.half_spaces().transpose() * random_matrix(50, 1, 3).cwiseAbs();
  const double size = q.norm();
  CHECK(projection.project(cone.x, cone.signs, q));
  CHECK(q.norm() <= 1e-12 * size);
  q.setZero();
  CHECK(projection.project(cone.x, cone.signs, q));
  CHECK(q.isZero(0.0));
}

}  // namespace
}  // namespace cvxnn
