// The softmax loss.
#include <cmath>
#include <limits>

#include "cvxnn/softmax.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 30, kClasses = 4;

// Shares of classes: some rows one-hot, some soft.
std::unique_ptr<Loss> some_loss(unsigned seed) {
  Matrix y = Matrix::Zero(kSamples, kClasses);
  const Matrix draws = random_matrix(kSamples, kClasses, seed).cwiseAbs();
  for (Index i = 0; i < kSamples; ++i) {
    if (i % 3 == 0) {
      y.row(i) = draws.row(i) / draws.row(i).sum();
    } else {
      y(i, i % kClasses) = 1.0;
    }
  }
  Vector omega = random_matrix(kSamples, 1, seed + 1).cwiseAbs().array() + 0.1;
  omega /= omega.sum();
  return make_softmax(std::move(y), std::move(omega));
}

Matrix dual_point(const Loss& loss, const Matrix& F) {
  Matrix Theta = Matrix::Constant(F.rows(), F.cols(), 9.0);
  loss.dual_point(F, Theta);
  return Theta;
}

TEST_CASE("the value is that of the formula") {
  Matrix y(1, 3), F(1, 3);
  y << 0.0, 1.0, 0.0;
  F << 1.0, 2.0, -1.0;
  const auto loss = make_softmax(std::move(y), Vector::Ones(1));
  const double wanted = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(-1.0)) - 2.0;
  CHECK(loss->value(F) == doctest::Approx(wanted).epsilon(1e-14));
  F *= 1e5;  // exponentials would overflow
  CHECK(loss->value(F) == doctest::Approx(0.0));
  CHECK(loss->value(-F) == doctest::Approx(3e5).epsilon(1e-14));
}

TEST_CASE("the dual point is minus the gradient, and its rows sum to zero") {
  const auto loss = some_loss(1);
  const Matrix F = random_matrix(kSamples, kClasses, 3), Theta = dual_point(*loss, F);
  constexpr double kStep = 1e-6;
  for (Index i = 0; i < kSamples; ++i) {
    CHECK(std::abs(Theta.row(i).sum()) <= 1e-15);
    for (Index k = 0; k < kClasses; ++k) {
      Matrix up = F, down = F;
      up(i, k) += kStep;
      down(i, k) -= kStep;
      const double slope = (loss->value(up) - loss->value(down)) / (2.0 * kStep);
      CHECK(Theta(i, k) == doctest::Approx(-slope).epsilon(1e-5).scale(loss->omega()[i]));
    }
  }
}

TEST_CASE("the Fenchel gap is primal minus dual, and zero at the dual point") {
  const auto loss = some_loss(5);
  for (const double scale : {0.1, 1.0, 10.0}) {
    const Matrix F = scale * random_matrix(kSamples, kClasses, 6);
    CHECK(loss->fenchel_gap(F, dual_point(*loss, F)) <= 1e-14);
    for (const double shrink : {0.0, 0.5, 0.99}) {
      const Matrix Theta = shrink * dual_point(*loss, random_matrix(kSamples, kClasses, 7));
      const double gap = loss->value(F) + F.cwiseProduct(Theta).sum() - loss->dual_value(Theta);
      CHECK(loss->fenchel_gap(F, Theta) >= 0.0);
      CHECK(loss->fenchel_gap(F, Theta) == doctest::Approx(gap).epsilon(1e-11));
    }
  }
}

TEST_CASE("a small Fenchel gap keeps its relative accuracy") {
  Matrix y(1, 2), F(1, 2), Theta(1, 2);
  y << 1.0, 0.0;
  F << 0.0, 0.0;  // q = (1/2, 1/2)
  const double e = 1e-8;
  Theta << 0.5 + e, -0.5 - e;  // KL((1/2 - e, 1/2 + e) || q) = 2 e^2
  const auto loss = make_softmax(std::move(y), Vector::Ones(1));
  CHECK(loss->fenchel_gap(F, Theta) == doctest::Approx(2.0 * e * e).epsilon(1e-6));
}

TEST_CASE("outside the domain the dual is minus infinity, and the best scale leads inside") {
  const auto loss = some_loss(8);
  const Matrix inside = dual_point(*loss, random_matrix(kSamples, kClasses, 9));
  for (const double stretch : {1.0 + 1e-12, 2.0, 40.0}) {
    const Matrix Theta = stretch * inside;
    const double best = loss->best_scale(Theta, std::numeric_limits<double>::infinity());
    CHECK(best > 0.0);
    CHECK(std::isfinite(loss->dual_value(best * Theta)));
  }
  CHECK(std::isinf(loss->dual_value(40.0 * inside)));
  CHECK(std::isinf(loss->dual_value(Matrix::Constant(kSamples, kClasses, 1e-3))));
}

TEST_CASE("clip leaves the domain's points as they are, and keeps the sums of rows") {
  const auto loss = some_loss(10);
  const Matrix Theta = dual_point(*loss, random_matrix(kSamples, kClasses, 11));
  Matrix clipped = Theta;
  loss->clip(clipped);
  CHECK(clipped == Theta);
  Matrix moved = -Theta;
  loss->clip(moved);
  for (Index i = 0; i < kSamples; ++i) CHECK(std::abs(moved.row(i).sum()) <= 1e-15);
  CHECK(std::isfinite(loss->dual_value(loss->best_scale(moved, 1.0) * moved)));
}

TEST_CASE("the quadratic model of curvature() is above the loss near a fit") {
  const auto loss = some_loss(12);
  const Matrix F = random_matrix(kSamples, kClasses, 13), Theta = dual_point(*loss, F);
  Vector h(kSamples);
  loss->curvature(F, h);
  CHECK((h.array() <= loss->smoothness() * loss->omega().array() * (1.0 + 1e-15)).all());
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Matrix step = 1e-4 * random_matrix(kSamples, kClasses, 20 + seed);
    const double model =
        loss->value(F) - Theta.cwiseProduct(step).sum() + 0.5 * h.dot(step.rowwise().squaredNorm());
    CHECK(loss->value(F + step) <= model + 1e-15);
  }
}

TEST_CASE("a sample of weight zero counts for nothing") {
  Matrix y = Matrix::Zero(2, 3), F(2, 3);
  y(0, 1) = y(1, 2) = 1.0;
  F << 1.0, 2.0, 3.0, 1e6, 0.0, -1e6;
  Vector omega(2);
  omega << 1.0, 0.0;
  const auto loss = make_softmax(std::move(y), std::move(omega));
  const Matrix Theta = dual_point(*loss, F);
  CHECK(Theta.row(1).isZero(0.0));
  CHECK(std::isfinite(loss->value(F)));
  CHECK(std::isfinite(loss->dual_value(Theta)));
  CHECK(loss->fenchel_gap(F, Theta) <= 1e-14);
}

}  // namespace
}  // namespace cvxnn
