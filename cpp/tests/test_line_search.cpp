#include <doctest/doctest.h>

#include "cvxnn/line_search.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 30, kSize = 4;

// min 1/2 ||h^(1/2) (F - target)||^2 + sum_j a_j ||W_j|| along one direction, with dense blocks.
struct Problem {
  Matrix A = random_matrix(kSamples, 2 * kSize, 1);
  Matrix W = random_matrix(2 * kSize, 1, 2), Y = random_matrix(2 * kSize, 1, 3);
  Vector alphas = Vector::Constant(2, 0.3);
  std::shared_ptr<const BlockNorm> norm = block_norm("frobenius");
  double ridge = 0.0;
  QuadraticModel model;
  LineSearch line;

  Problem() {
    model.resize(kSamples, 1);
    model.h = random_matrix(kSamples, 1, 4).cwiseAbs();
    model.F = A * W;
    line.reserve(2, kSamples, 1);
  }

  void aim(const Matrix& target) {
    model.R = model.h.asDiagonal() * (target - model.F);
    line.clear();
    for (Index j = 0; j < 2; ++j) {
      line.add({norm.get(), alphas[j], ridge}, W.col(0).segment(j * kSize, kSize),
               Y.col(0).segment(j * kSize, kSize));
    }
    line.set_fit(A * Y, model);
  }

  double objective(const Matrix& target, double t) const {
    const Matrix at = W + t * Y, miss = A * at - target;
    double sum = 0.5 * model.h.dot(miss.col(0).cwiseAbs2());
    for (Index j = 0; j < 2; ++j) sum += alphas[j] * at.middleRows(j * kSize, kSize).norm();
    return sum + 0.5 * ridge * at.squaredNorm();
  }
};

TEST_CASE("change is that of the objective") {
  Problem p;
  const Matrix target = random_matrix(kSamples, 1, 5);
  for (const double ridge : {0.0, 0.7}) {
    p.ridge = ridge;
    p.aim(target);
    for (const double t : {0.0, 0.3, 1.0, 2.5}) {
      CHECK(p.line.change(t) ==
            doctest::Approx(p.objective(target, t) - p.objective(target, 0.0)).epsilon(1e-10));
    }
  }
}

TEST_CASE("the minimiser, where the full step is far from it") {
  Problem p;
  const Matrix target = p.A * (p.W + 0.2 * p.Y);
  p.aim(target);
  const double t = p.line.length(2.0);
  CHECK(t > 0.0);
  for (const double other : {0.9 * t, 1.1 * t}) {
    CHECK(p.objective(target, t) <= p.objective(target, other));
  }
  p.Y *= 1e-3;
  p.aim(target);
  CHECK(p.line.length(2.0) == 2.0);  // no further than allowed
}

TEST_CASE("the full step where it does nearly as well, and none uphill") {
  Problem p;
  p.aim(p.A * (p.W + 1.1 * p.Y));
  CHECK(p.line.length(2.0) == 1.0);
  p.aim(p.A * (p.W - p.Y));
  CHECK(p.line.length(2.0) == 0.0);
}

TEST_CASE("a block at zero leaves it only if that pays") {
  Problem p;
  p.W.setZero();
  p.model.F.setZero();
  const Matrix target = p.A * p.Y;
  p.aim(target);
  CHECK(p.line.length(2.0) > 0.0);
  p.alphas.setConstant(1e3);
  p.aim(target);
  CHECK(p.line.length(2.0) == 0.0);
}

}  // namespace
}  // namespace cvxnn
