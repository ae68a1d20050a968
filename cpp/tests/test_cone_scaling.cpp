#include <Eigen/LU>

#include "cvxnn/cone_scaling.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

// A point inside the cone, `slack` from its boundary, head first.
Vector inside(Index size, double slack, unsigned seed) {
  Vector x = random_matrix(size + 1, 1, seed);
  x[0] = x.tail(size).norm() + slack;
  return x;
}

Vector applied(const ConeScaling& scaling, Vector a, bool inverse) {
  const Index size = a.size() - 1;
  inverse ? scaling.apply_inverse(a[0], a.tail(size)) : scaling.apply(a[0], a.tail(size));
  return a;
}

TEST_CASE("the scaling maps the dual point on the primal point") {
  for (const Index size : {1, 2, 7}) {
    for (const double slack : {1e-6, 1.0, 1e3}) {
      const Vector x = inside(size, slack, 1), s = inside(size, 0.5, 2);
      Vector storage(size);
      const ConeScaling scaling(x[0], x.tail(size), s[0], s.tail(size), storage.data());
      const Vector lambda = applied(scaling, s, false);
      CHECK(relative_error(applied(scaling, x, true), lambda) <= 1e-8);
      const Vector a = random_matrix(size + 1, 1, 3);
      CHECK(relative_error(applied(scaling, applied(scaling, a, false), true), a) <= 1e-6);
      CHECK(scaling.w0() * scaling.w0() - scaling.w().squaredNorm() == doctest::Approx(1.0));
    }
  }
}

TEST_CASE("the Schur complement of W^-2 on the tail has the documented inverse") {
  const Index size = 5;
  const Vector x = inside(size, 0.3, 4), s = inside(size, 0.2, 5);
  Vector storage(size);
  const ConeScaling scaling(x[0], x.tail(size), s[0], s.tail(size), storage.data());
  Matrix G(size + 1, size + 1);
  for (Index k = 0; k <= size; ++k) {
    const Vector e = Vector::Unit(size + 1, k);
    G.col(k) = applied(scaling, applied(scaling, e, true), true);
  }
  const Matrix schur = G.bottomRightCorner(size, size) -
                       G.bottomLeftCorner(size, 1) * G.topRightCorner(1, size) / G(0, 0);
  const Matrix expected =
      scaling.eta() * scaling.eta() *
      (Matrix::Identity(size, size) + 2.0 * scaling.w() * scaling.w().transpose());
  CHECK(relative_error(schur.inverse(), expected) <= 1e-10);
}

TEST_CASE("Jordan division undoes the product") {
  const Index size = 4;
  const Vector a = inside(size, 0.7, 6), x = random_matrix(size + 1, 1, 7);
  Vector b = x;
  jordan_product(a[0], a.tail(size), b[0], b.tail(size));
  CHECK(b[0] == doctest::Approx(a.dot(x)));
  jordan_divide(a[0], a.tail(size), b[0], b.tail(size));
  CHECK(relative_error(b, x) <= 1e-12);
}

TEST_CASE("the largest step ends on the boundary") {
  const Index size = 3;
  for (unsigned seed = 0; seed < 200; ++seed) {
    const Vector x = inside(size, 0.5, seed), d = random_matrix(size + 1, 1, 1000 + seed);
    const double step = largest_step(x[0], x.tail(size), d[0], d.tail(size));
    CAPTURE(seed);
    REQUIRE(step > 0.0);
    if (std::isinf(step)) {
      CHECK(d[0] >= d.tail(size).norm());
      continue;
    }
    const Vector at = x + step * d, before = x + 0.999 * step * d;
    CHECK(at[0] == doctest::Approx(at.tail(size).norm()));
    CHECK(before[0] > before.tail(size).norm());
  }
}

}  // namespace
}  // namespace cvxnn
