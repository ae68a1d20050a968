#include "cvxnn/unpenalised.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 30, kOutputs = 2;

Matrix with_intercept(Index n_features) {
  Matrix columns = random_matrix(kSamples, n_features + 1, 1);
  columns.col(0).setOnes();
  return columns;
}

// The last column repeats what others say: one is zero, one a combination.
Matrix rank_deficient() {
  Matrix columns = with_intercept(4);
  columns.col(2) = columns.col(0) - 2.0 * columns.col(1);
  columns.col(4).setZero();
  return columns;
}

Matrix badly_scaled() {
  Matrix columns = with_intercept(3);
  columns.col(1) *= 1e9;
  columns.col(2) *= 1e-9;
  return columns;
}

Vector curvature(bool with_zeros) {
  Vector h = random_matrix(kSamples, 1, 2).cwiseAbs().array() + 1e-3;
  if (with_zeros) h.head(7).setZero();
  return h;
}

// |A_0^T M| relative to what rounding could leave there.
double slope(const Matrix& columns, const Matrix& M) {
  double worst = 0.0;
  for (Index j = 0; j < columns.cols(); ++j) {
    const double scale = columns.col(j).norm() * M.norm();
    if (scale > 0.0) {
      worst = std::max(worst, (columns.col(j).transpose() * M).norm() / scale);
    }
  }
  return worst;
}

template <class Fn>
void for_each_case(Fn&& fn) {
  for (const Matrix& columns : {with_intercept(0), with_intercept(3), rank_deficient(),
                                badly_scaled(), with_intercept(kSamples + 5)}) {
    for (const bool with_zeros : {false, true}) {
      CAPTURE(columns.cols());
      CAPTURE(with_zeros);
      fn(columns, curvature(with_zeros));
    }
  }
}

TEST_CASE("fit makes the residual orthogonal to the columns and keeps the books") {
  for_each_case([](const Matrix& columns, const Vector& h) {
    Unpenalised free(columns, kOutputs);
    CHECK(free.size() == columns.cols());
    CHECK(free.coefs() == Matrix::Zero(columns.cols(), kOutputs));
    free.set_curvature(h);
    const Matrix F0 = random_matrix(kSamples, kOutputs, 3);
    // A sample without curvature has no slope either.
    const Matrix R0 =
        (h.array() > 0.0).select(1.0, h).asDiagonal() * random_matrix(kSamples, kOutputs, 4);
    Matrix F = F0, R = R0;
    free.fit(F, R);
    CHECK((columns.transpose() * R).cwiseAbs().maxCoeff() <=
          1e-12 * columns.cwiseAbs().maxCoeff() * R0.norm());
    CHECK(free.coefs().allFinite());
    const Matrix change = columns * free.coefs();
    CHECK(relative_error(F - F0, change) <= 1e-10);
    CHECK((R - (R0 - h.asDiagonal() * change)).norm() <= 1e-11 * R0.norm());

    const Matrix coefs = free.coefs();
    free.fit(F, R);  // already at the minimum
    CHECK((columns * (free.coefs() - coefs)).norm() <= 1e-10 * (1.0 + change.norm()));
  });
}

TEST_CASE("project makes a dual point feasible by the least change") {
  for_each_case([](const Matrix& columns, const Vector& h) {
    Unpenalised free(columns, kOutputs);
    free.set_curvature(h);
    const Matrix Theta0 = h.asDiagonal() * random_matrix(kSamples, kOutputs, 5);
    Matrix Theta = Theta0;
    free.project(Theta);
    if (columns.cols() < kSamples - 7) {
      CHECK(Theta.norm() > 0.01 * Theta0.norm());
      CHECK(slope(columns, Theta) <= 1e-14);
      CHECK(free.orthogonal(Theta));
    } else {
      CHECK(Theta.norm() <= 1e-12 * Theta0.norm());  // the columns span everything
    }
    // The nearest point in the metric of 1/h: the change is diag(h) times a point of the range.
    for (Index i = 0; i < kSamples; ++i) {
      if (h[i] == 0.0) CHECK(Theta.row(i).isZero(0.0));
    }
    Matrix again = Theta;
    free.project(again);
    CHECK((again - Theta).norm() <= 1e-14 * Theta0.norm());
    const Matrix feasible = Theta0 - Theta;
    const Matrix inverse = (h.array() > 0.0).select(h.cwiseInverse(), 0.0).asDiagonal() * Theta;
    CHECK(std::abs(inverse.cwiseProduct(feasible).sum()) <= 1e-12 * Theta0.norm());
  });
}

// As for a model whose unpenalised part has yet to be fitted.
TEST_CASE("project is exact for what little may remain") {
  const Matrix columns = with_intercept(3);
  const Vector h = curvature(false);
  Unpenalised free(columns, 1);
  free.set_curvature(h);
  const Matrix rest = random_matrix(kSamples, 1, 8);
  Matrix Theta = h.asDiagonal() * (1e8 * columns.rowwise().sum() + rest);
  free.project(Theta);
  CHECK(slope(columns, Theta) <= 1e-14);
  Matrix expected = h.asDiagonal() * rest;
  free.project(expected);
  CHECK(relative_error(Theta, expected) <= 1e-6);
}

TEST_CASE("relative projections keep zeros and signs of each output, near feasibility") {
  for (const Matrix& columns : {with_intercept(0), with_intercept(3), rank_deficient()}) {
    Unpenalised free(columns, kOutputs);
    Matrix feasible = random_matrix(kSamples, kOutputs, 7);
    feasible.col(0).head(9).setZero();
    feasible.col(1).tail(9).setZero();
    free.project_relative(feasible);
    CHECK(feasible.norm() > 0.1);
    CHECK(slope(columns, feasible) <= 1e-13);
    Matrix Theta = feasible.array() * (1.0 + 1e-6 * random_matrix(kSamples, kOutputs, 8).array());
    CHECK(slope(columns, Theta) > 1e-9);
    free.project_relative(Theta);
    CHECK(slope(columns, Theta) <= 1e-14);
    CHECK(relative_error(Theta, feasible) <= 1e-5);
    CHECK((Theta.cwiseProduct(feasible).array() >= 0.0).all());
    CHECK(((feasible.array() != 0.0) || (Theta.array() == 0.0)).all());
  }
}

TEST_CASE("a point that is not orthogonal to the columns is told apart") {
  Unpenalised free(with_intercept(2), 1);
  free.set_curvature(Vector::Ones(kSamples));
  Matrix Theta = random_matrix(kSamples, 1, 6);
  CHECK_FALSE(free.orthogonal(Theta));
  free.project(Theta);
  CHECK(free.orthogonal(Theta));
  Theta(0, 0) += 1e-6 * Theta.norm();
  CHECK_FALSE(free.orthogonal(Theta));
}

TEST_CASE("without columns nothing changes") {
  Unpenalised free(Matrix(kSamples, 0), kOutputs);
  free.set_curvature(curvature(false));
  const Matrix before = random_matrix(kSamples, kOutputs, 7);
  Matrix F = before, R = before, Theta = before;
  free.fit(F, R);
  free.project(Theta);
  CHECK(F == before);
  CHECK(R == before);
  CHECK(Theta == before);
}

}  // namespace
}  // namespace cvxnn
