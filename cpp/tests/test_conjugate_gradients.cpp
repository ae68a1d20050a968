#include "cvxnn/conjugate_gradients.hpp"
#include "cvxnn/errors.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

struct System {
  Index n = 20;
  Matrix S = make_system(n);
  Vector solution = random_matrix(n, 1, 2).col(0), b = S * solution;
  ConjugateGradients gradients;
  Control control;
  Vector x = Vector::Zero(n);

  static Matrix make_system(Index n) {
    const Matrix A = random_matrix(n, n, 1);
    const Vector scales = Vector::LinSpaced(n, 1.0, 100.0);
    return scales.asDiagonal() * (A * A.transpose() + Matrix::Identity(n, n)) * scales.asDiagonal();
  }

  ConjugateGradients::Outcome solve(ConjugateGradients::Goal goal, Index max_iterations,
                                    bool by_diagonal) {
    gradients.reserve(n);
    const auto apply = [&](const Vector& v, Vector& out) { out = S * v; };
    const auto precondition = [&](const Vector& v, Vector& out) {
      out = by_diagonal ? Vector(v.cwiseQuotient(S.diagonal())) : v;
    };
    return gradients.solve(n, b, apply, precondition, goal, max_iterations, control, x);
  }
};

TEST_CASE("the solution, sooner with a preconditioner") {
  System plain, scaled;
  const double norm = 1e-9 * plain.b.norm();
  const auto slow = plain.solve({norm, 0.0}, 500, false);
  const auto quick = scaled.solve({norm, 0.0}, 500, true);
  REQUIRE(slow.reached);
  REQUIRE(quick.reached);
  CHECK(quick.iterations < slow.iterations);
  CHECK(relative_error(scaled.x, scaled.solution) <= 1e-6);
  CHECK((scaled.b - scaled.S * scaled.x).norm() <= 1.01 * norm);
}

TEST_CASE("a share of the preconditioned residual") {
  System system;
  const auto energy = [&] {
    const Vector r = system.b - system.S * system.x;
    return r.dot(r.cwiseQuotient(system.S.diagonal()));
  };
  const double before = energy();
  const auto outcome = system.solve({0.0, 1e-4}, 500, true);
  CHECK(outcome.reached);
  CHECK(energy() <= 1.01e-4 * before);
  CHECK(energy() > 1e-8 * before);
}

TEST_CASE("a guess saves iterations, and the solution takes none") {
  System cold, warm;
  const double norm = 1e-6 * cold.b.norm();
  const Index all = cold.solve({norm, 0.0}, 500, true).iterations;
  warm.x = warm.solution * (1.0 + 1e-3);
  CHECK(warm.solve({norm, 0.0}, 500, true).iterations < all);
  warm.x = warm.solution;
  CHECK(warm.solve({norm, 0.0}, 500, true).iterations == 0);
}

TEST_CASE("the limit, systems without a curvature, and nothing to solve for") {
  System system;
  const auto limited = system.solve({1e-12, 0.0}, 3, true);
  CHECK(!limited.reached);
  CHECK(limited.iterations == 3);

  System flat;
  flat.S.setZero();
  CHECK(!flat.solve({1e-12, 0.0}, 10, false).reached);
  CHECK(flat.x.isZero(0.0));

  System none;
  none.b.setZero();
  const auto outcome = none.solve({0.0, 1e-2}, 10, true);
  CHECK(outcome.reached);
  CHECK(outcome.iterations == 0);
}

}  // namespace
}  // namespace cvxnn
