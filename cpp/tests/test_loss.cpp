#include <limits>

#include "cvxnn/errors.hpp"
#include "cvxnn/make_loss.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 40, kOutputs = 2;
// omega * delta / omega is delta: the dual point of a linear part lies on the edge of the domain.
constexpr double kExactDelta = 0.5;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Matrix dual_point(const Loss& loss, const Matrix& F) {
  Matrix Theta = Matrix::Constant(F.rows(), F.cols(), 9.0);
  loss.dual_point(F, Theta);
  return Theta;
}

Vector curvature(const Loss& loss, const Matrix& F) {
  Vector h = Vector::Constant(F.rows(), 9.0);
  loss.curvature(F, h);
  return h;
}

// Fits near the targets, where losses bend, and far from them, where some are linear.
std::vector<Matrix> fits(unsigned seed) {
  std::vector<Matrix> all;
  for (const double scale : {0.0, 0.1, 1.0, 10.0, 1000.0}) {
    all.push_back(scale * random_matrix(kSamples, kOutputs, seed++));
  }
  return all;
}

template <class Fn>
void for_each_loss(Fn&& fn) {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    fn(*random_loss(name, kSamples, kOutputs, 1, kExactDelta));
  }
}

TEST_CASE("values are those of the formulas, weighted and summed over outputs") {
  Matrix y(2, 1), F(2, 1);
  Vector omega(2);
  y << 1.0, -1.0;
  F << 0.25, 2.0;
  omega << 0.75, 0.25;
  const auto value = [&](const std::string& name) {
    return make_loss(name, y, omega, 1.0)->value(F);
  };
  CHECK(value("squared") == doctest::Approx(0.75 * 0.28125 + 0.25 * 4.5).epsilon(1e-15));
  CHECK(value("logistic") ==
        doctest::Approx(0.75 * std::log1p(std::exp(-0.25)) + 0.25 * std::log1p(std::exp(2.0)))
            .epsilon(1e-15));
  CHECK(value("squared_hinge") == doctest::Approx(0.75 * 0.28125 + 0.25 * 4.5).epsilon(1e-15));
  CHECK(value("huber") == doctest::Approx(0.75 * 0.28125 + 0.25 * 2.5).epsilon(1e-15));
  CHECK(value("hinge") == doctest::Approx(0.75 * 0.75 + 0.25 * 3.0).epsilon(1e-15));
  CHECK_THROWS_AS(make_loss("none", y, omega, 1.0), InvalidArgument);
}

TEST_CASE("the dual point is minus the gradient") {
  for_each_loss([](const Loss& loss) {
    const Matrix F = random_matrix(kSamples, kOutputs, 3);
    const Matrix Theta = dual_point(loss, F);
    constexpr double kStep = 1e-6;
    for (Index k = 0; k < kOutputs; ++k) {
      for (Index i = 0; i < kSamples; ++i) {
        Matrix up = F, down = F;
        up(i, k) += kStep;
        down(i, k) -= kStep;
        const double slope = (loss.value(up) - loss.value(down)) / (2.0 * kStep);
        CHECK(Theta(i, k) == doctest::Approx(-slope).epsilon(1e-4).scale(loss.omega()[i]));
      }
    }
  });
}

TEST_CASE("Fenchel and Young: equality at the dual point") {
  for_each_loss([](const Loss& loss) {
    for (const Matrix& F : fits(10)) {
      const Matrix Theta = dual_point(loss, F);
      const double inner = F.cwiseProduct(Theta).sum();
      const double size = loss.value(F) + F.cwiseProduct(Theta).cwiseAbs().sum();
      CHECK(std::abs(loss.value(F) + inner - loss.dual_value(Theta)) <= 1e-13 * size);
      CHECK(loss.fenchel_gap(F, Theta) >= 0.0);
      CHECK(loss.fenchel_gap(F, Theta) <= 1e-14 * size);
    }
  });
}

TEST_CASE("the Fenchel gap is primal minus dual, and never negative") {
  for_each_loss([](const Loss& loss) {
    for (const Matrix& at : fits(20)) {
      for (const double shrink : {0.0, 0.3, 0.999, 1.0}) {
        const Matrix Theta = shrink * dual_point(loss, at);
        const double dual = loss.dual_value(Theta);
        CHECK(dual <= loss.value(Matrix::Zero(kSamples, kOutputs)) * (1.0 + 1e-14));
        for (const Matrix& F : fits(30)) {
          const Matrix product = F.cwiseProduct(Theta);
          const double size = loss.value(F) + product.cwiseAbs().sum() + std::abs(dual);
          const double gap = loss.fenchel_gap(F, Theta);
          CHECK(gap >= 0.0);
          CHECK(std::abs(gap - (loss.value(F) + product.sum() - dual)) <= 1e-13 * size);
        }
      }
    }
  });
}

// Far apart primal and dual are large and nearly equal: their difference would be noise.
TEST_CASE("a small Fenchel gap keeps its relative accuracy") {
  const Matrix y = Matrix::Constant(1, 1, 1.0);
  const Vector omega = Vector::Ones(1);
  const auto gap = [&](const std::string& name, double f, double theta) {
    return make_loss(name, y, omega, 1.0)
        ->fenchel_gap(Matrix::Constant(1, 1, f), Matrix::Constant(1, 1, theta));
  };
  const double f = 0.5, e = 1e-9;
  CHECK(gap("squared", f, 0.5 + e) == doctest::Approx(0.5 * e * e).epsilon(1e-6));
  CHECK(gap("squared_hinge", f, 0.5 + e) == doctest::Approx(0.5 * e * e).epsilon(1e-6));
  CHECK(gap("huber", f, 0.5 + e) == doctest::Approx(0.5 * e * e).epsilon(1e-6));
  CHECK(gap("hinge", f, 1.0 - e) == doctest::Approx(0.5 * e).epsilon(1e-6));
  CHECK(gap("hinge", 1.0 + e, 0.25) == doctest::Approx(0.25 * e).epsilon(1e-6));
  CHECK(gap("huber", 1001.0, -(1.0 - e)) == doctest::Approx(999.0 * e).epsilon(1e-6));
}

TEST_CASE("outside the domain the dual is minus infinity") {
  const Matrix y = Matrix::Ones(1, 1), F = Matrix::Constant(1, 1, 0.3);
  const auto check = [&](const std::string& name, double theta, bool feasible) {
    CAPTURE(name);
    CAPTURE(theta);
    const auto loss = make_loss(name, y, Vector::Ones(1), kDelta);
    const Matrix Theta = Matrix::Constant(1, 1, theta);
    CHECK(std::isfinite(loss->dual_value(Theta)) == feasible);
    CHECK((loss->dual_value(Theta) == -kInfinity) == !feasible);
    CHECK((loss->fenchel_gap(F, Theta) == kInfinity) == !feasible);
  };
  check("squared", -100.0, true);
  check("logistic", -0.01, false);
  check("logistic", 0.0, true);
  check("logistic", 1.0, true);
  check("logistic", 1.01, false);
  check("squared_hinge", -0.01, false);
  check("squared_hinge", 100.0, true);
  check("hinge", -0.01, false);
  check("hinge", 0.0, true);
  check("hinge", 1.0, true);
  check("hinge", 1.01, false);
  check("huber", kDelta, true);
  check("huber", -kDelta, true);
  check("huber", 1.01 * kDelta, false);
  check("huber", -1.01 * kDelta, false);
}

TEST_CASE("curvature is bounded by the smoothness and never misses a slope") {
  for_each_loss([](const Loss& loss) {
    for (const Matrix& fit : fits(40)) {
      const Matrix F = fit.cwiseMin(600.0).cwiseMax(-600.0);  // exp(-600) is still a number
      const Vector h = curvature(loss, F);
      const Matrix Theta = dual_point(loss, F);
      for (Index i = 0; i < kSamples; ++i) {
        CHECK(h[i] >= 0.0);
        CHECK(h[i] <= loss.smoothness() * loss.omega()[i]);
        if (h[i] == 0.0) CHECK(Theta.row(i).isZero(0.0));
      }
    }
  });
}

// So that a step of a loss's Newton system never meets a Hessian which its preconditioner, made of
// the model's curvature, does not know of.
TEST_CASE("the Hessian is positive semi-definite, and curvature bounds it") {
  const auto check = [](const Loss& loss) {
    LossHessian H;
    for (const Matrix& F : fits(80)) {
      const Vector h = curvature(loss, F);
      loss.hessian(F, H);
      for (const Matrix& D : fits(90)) {
        Matrix image = D;
        H.apply(image);
        for (Index i = 0; i < kSamples; ++i) {
          const double square = D.row(i).squaredNorm(), curved = D.row(i).dot(image.row(i));
          const double rounding = 1e-14 * loss.omega()[i] * square;  // of terms that cancel
          CHECK(curved >= -rounding);
          CHECK(curved <= h[i] * square + rounding);
        }
      }
      Matrix diagonal = Matrix::Zero(kSamples, kOutputs);
      for (Index k = 0; k < kOutputs; ++k) {
        Matrix unit = Matrix::Zero(kSamples, kOutputs);
        unit.col(k).setOnes();
        H.apply(unit);
        diagonal.col(k) = unit.col(k);
      }
      CHECK(relative_error(H.main_diagonal(), diagonal, (1.0 + diagonal.array()).matrix()) <=
            1e-15);
    }
  };
  for_each_loss(check);
  check(*random_loss("softmax", kSamples, kOutputs, 1));
}

// l(f + t) <= l(f) + l'(f) t + smoothness t^2 / 2, on which the radius of safe screening rests.
TEST_CASE("smoothness bounds the loss from above everywhere") {
  for_each_loss([](const Loss& loss) {
    for (const Matrix& F : fits(50)) {
      for (const Matrix& step : fits(60)) {
        const Matrix Theta = dual_point(loss, F);
        const double linear = loss.value(F) - Theta.cwiseProduct(step).sum();
        const double square = loss.omega().dot(step.rowwise().squaredNorm());
        const double bound = linear + 0.5 * loss.smoothness() * square;
        CHECK(loss.value(F + step) <= bound + 1e-12 * (std::abs(bound) + square));
      }
    }
  });
}

TEST_CASE("the Hessian is the derivative of the gradient, where there is one") {
  constexpr double kStep = 1e-5;
  for (const char* name : {"squared", "logistic", "softmax"}) {
    CAPTURE(name);
    const auto loss = random_loss(name, kSamples, 4, 2);
    const Matrix F = random_matrix(kSamples, 4, 71), D = random_matrix(kSamples, 4, 72);
    LossHessian H;
    loss->hessian(F, H);
    Matrix image = D;
    H.apply(image);
    const Matrix up = dual_point(*loss, F + kStep * D), down = dual_point(*loss, F - kStep * D);
    CHECK(((down - up) / (2.0 * kStep) - image).norm() <= 1e-8 * image.norm());
  }
}

TEST_CASE("the curvature of one output is the second derivative, where there is one") {
  for (const char* name : {"squared", "logistic"}) {
    CAPTURE(name);
    const auto loss = random_loss(name, kSamples, 1, 2);
    const Matrix F = random_matrix(kSamples, 1, 70);
    const Vector h = curvature(*loss, F);
    constexpr double kStep = 1e-5;
    const Matrix up = dual_point(*loss, F.array() + kStep);
    const Matrix down = dual_point(*loss, F.array() - kStep);
    CHECK(relative_error((down - up) / (2.0 * kStep), h) <= 1e-8);
  }
}

TEST_CASE("the curvature of several outputs is the largest of each sample") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    Matrix y = random_matrix(kSamples, 2, 71).cwiseSign();
    const Vector omega = Vector::Constant(kSamples, 1.0 / kSamples);
    const Matrix F = random_matrix(kSamples, 2, 72);
    const Vector first = curvature(*make_loss(name, y.col(0), omega, kDelta), F.col(0));
    const Vector second = curvature(*make_loss(name, y.col(1), omega, kDelta), F.col(1));
    CHECK(curvature(*make_loss(name, y, omega, kDelta), F) == first.cwiseMax(second));
  }
}

TEST_CASE("the quadratic model of Huber's loss is above it") {
  const auto loss = random_loss("huber", kSamples, kOutputs, 4);
  for (const Matrix& F : fits(80)) {
    const Matrix Theta = dual_point(*loss, F);
    const Vector h = curvature(*loss, F);
    for (const Matrix& step : fits(90)) {
      const double model = loss->value(F) - Theta.cwiseProduct(step).sum() +
                           0.5 * h.dot(step.rowwise().squaredNorm());
      CHECK(loss->value(F + step) <= model + 1e-12 * std::abs(model));
    }
  }
}

TEST_CASE("only the squared loss is its own quadratic model") {
  for_each_loss([](const Loss& loss) {
    const Matrix F = random_matrix(kSamples, kOutputs, 5);
    const Matrix step = random_matrix(kSamples, kOutputs, 6);
    const double model = loss.value(F) - dual_point(loss, F).cwiseProduct(step).sum() +
                         0.5 * curvature(loss, F).dot(step.rowwise().squaredNorm());
    const bool same = std::abs(model - loss.value(F + step)) <= 1e-12 * model;
    CHECK(loss.quadratic() == same);
  });
}

TEST_CASE("the best scale of the squared loss maximises the dual") {
  const auto loss = random_loss("squared", kSamples, kOutputs, 7);
  for (const double spread : {0.1, 1.0, 5.0}) {
    const Matrix Theta = dual_point(*loss, spread * random_matrix(kSamples, kOutputs, 8));
    for (const double limit : {0.0, 0.2, 0.7, 1.5, 100.0, kInfinity}) {
      const double best = loss->best_scale(Theta, limit);
      CHECK(best >= 0.0);
      CHECK(best <= limit);
      const double dual = loss->dual_value(best * Theta);
      for (int k = 0; k <= 400; ++k) {
        const double s = 0.01 * k;
        if (s <= limit) CHECK(loss->dual_value(s * Theta) <= dual + 1e-15);
      }
    }
  }
  // Away from the targets every step is a loss.
  Matrix y = Matrix::Ones(3, 1);
  const auto ones = make_loss("squared", y, Vector::Constant(3, 1.0 / 3.0), 1.0);
  CHECK(ones->best_scale(-y, 1.0) == 0.0);
}

TEST_CASE("the best scale is feasible and as good as none") {
  for_each_loss([](const Loss& loss) {
    for (const Matrix& F : fits(100)) {
      const Matrix Theta = dual_point(loss, F);
      for (const double limit : {0.0, 0.4, 1.0, 2.0, kInfinity}) {
        const double best = loss.best_scale(Theta, limit);
        CHECK(best >= 0.0);
        CHECK(best <= limit);
        CHECK(std::isfinite(loss.dual_value(best * Theta)));
      }
    }
    CHECK(std::isfinite(loss.best_scale(Matrix::Zero(kSamples, kOutputs), kInfinity)));
  });
}

// A projection may leave the domain; the best scale leads back.
TEST_CASE("the best scale brings a point outside the domain inside") {
  for_each_loss([](const Loss& loss) {
    const Matrix inside = dual_point(loss, 3.0 * random_matrix(kSamples, kOutputs, 9));
    for (const double stretch : {1.0 + 1e-15, 1.0 + 1e-9, 1.3, 40.0}) {
      const Matrix Theta = stretch * inside;
      const double best = loss.best_scale(Theta, kInfinity);
      CHECK(best > 0.0);
      CHECK(std::isfinite(loss.dual_value(best * Theta)));
      CHECK(std::isfinite(loss.fenchel_gap(Matrix::Zero(kSamples, kOutputs), best * Theta)));
    }
    Matrix wrong_side = random_matrix(kSamples, kOutputs, 11);
    loss.clip(wrong_side);
    const double best = loss.best_scale(wrong_side, kInfinity);
    CHECK(std::isfinite(loss.dual_value(best * wrong_side)));
    CHECK(best > 0.0);
  });
}

TEST_CASE("clip leaves a point of the domain as it is") {
  for_each_loss([](const Loss& loss) {
    const Matrix Theta = dual_point(loss, random_matrix(kSamples, kOutputs, 12));
    Matrix clipped = Theta;
    loss.clip(clipped);
    CHECK(clipped == Theta);
  });
}

TEST_CASE("a sample of weight zero counts for nothing") {
  for (const std::string& name : loss_names()) {
    CAPTURE(name);
    const Matrix y = random_matrix(5, 1, 13).cwiseSign(), F = random_matrix(5, 1, 14);
    const Vector omega = (Vector(5) << 0.25, 0.25, 0.0, 0.25, 0.25).finished();
    const auto loss = make_loss(name, y, omega, kDelta);
    Matrix other = F;
    other(2, 0) = 1e6;
    CHECK(loss->value(F) == loss->value(other));
    const Matrix Theta = dual_point(*loss, F);
    CHECK(Theta(2, 0) == 0.0);
    CHECK(curvature(*loss, F)[2] == 0.0);
    CHECK(std::isfinite(loss->dual_value(Theta)));
    CHECK(loss->fenchel_gap(F, Theta) == loss->fenchel_gap(other, Theta));
  }
}

TEST_CASE("losses stay finite far from their targets") {
  for (const double f : {-1e6, -800.0, 800.0, 1e6}) {
    for (const std::string& name : loss_names()) {
      CAPTURE(name);
      const auto loss = make_loss(name, Matrix::Ones(1, 1), Vector::Ones(1), kDelta);
      const Matrix F = Matrix::Constant(1, 1, f), Theta = dual_point(*loss, F);
      CHECK(std::isfinite(loss->value(F)));
      CHECK(std::isfinite(loss->dual_value(Theta)));
      CHECK(std::isfinite(loss->fenchel_gap(F, Theta)));
    }
  }
}

}  // namespace
}  // namespace cvxnn
