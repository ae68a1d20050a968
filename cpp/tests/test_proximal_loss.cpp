// The hinge loss, and the smooth envelope that steps are taken on instead.
#include "cvxnn/make_loss.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 50;

Matrix dual_point(const Loss& loss, const Matrix& F) {
  Matrix Theta = Matrix::Constant(F.rows(), F.cols(), 9.0);
  loss.dual_point(F, Theta);
  return Theta;
}

// Fits on both sides of the kink; envelopes about several centres, of several sharpnesses.
template <class Fn>
void for_each_envelope(Fn&& fn) {
  const auto hinge = random_loss("hinge", kSamples, 2, 1);
  for (unsigned seed = 0; seed < 4; ++seed) {
    const auto envelope = hinge->proximal();
    for (unsigned k = 0; k < seed; ++k) envelope->sharpen();
    if (seed > 0) envelope->recentre(3.0 * random_matrix(kSamples, 2, 10 + seed));
    fn(*hinge, *envelope, Matrix(2.0 * random_matrix(kSamples, 2, 20 + seed)));
  }
}

TEST_CASE("only a loss with kinks has an envelope") {
  for (const std::string& name : loss_names()) {
    CHECK(random_loss(name, kSamples, 1, 1)->proximal() == nullptr);
  }
  CHECK(random_loss("hinge", kSamples, 1, 1)->proximal() != nullptr);
}

TEST_CASE("the hinge and its dual point: Fenchel and Young") {
  const auto hinge = random_loss("hinge", kSamples, 2, 1);
  for (const double shrink : {0.0, 0.4, 1.0}) {
    const Matrix F = random_matrix(kSamples, 2, 2);
    const Matrix Theta = shrink * dual_point(*hinge, random_matrix(kSamples, 2, 3));
    const double gap = hinge->value(F) + F.cwiseProduct(Theta).sum() - hinge->dual_value(Theta);
    CHECK(hinge->fenchel_gap(F, Theta) == doctest::Approx(gap).epsilon(1e-12));
    CHECK(hinge->fenchel_gap(F, dual_point(*hinge, F)) <= 1e-15);
  }
}

TEST_CASE("an envelope is at most the loss, and its dual point minus its gradient") {
  for_each_envelope([](const Loss& hinge, const Loss& envelope, const Matrix& F) {
    CHECK(envelope.value(F) <= hinge.value(F) + 1e-14);
    const Matrix Theta = dual_point(envelope, F);
    constexpr double kStep = 1e-7;
    for (Index i = 0; i < kSamples; ++i) {
      Matrix up = F, down = F;
      up(i, 1) += kStep;
      down(i, 1) -= kStep;
      const double slope = (envelope.value(up) - envelope.value(down)) / (2.0 * kStep);
      CHECK(Theta(i, 1) == doctest::Approx(-slope).epsilon(1e-4).scale(envelope.omega()[i]));
    }
  });
}

TEST_CASE("the gap of an envelope is primal minus dual, and zero at its dual point") {
  for_each_envelope([](const Loss& hinge, const Loss& envelope, const Matrix& F) {
    CHECK(envelope.fenchel_gap(F, dual_point(envelope, F)) <= 1e-14);
    const Matrix Theta = 0.7 * dual_point(hinge, -F);
    const double gap = envelope.value(F) + F.cwiseProduct(Theta).sum() - envelope.dual_value(Theta);
    CHECK(envelope.fenchel_gap(F, Theta) >= 0.0);
    CHECK(envelope.fenchel_gap(F, Theta) == doctest::Approx(gap).epsilon(1e-11));
    CHECK(std::isinf(envelope.fenchel_gap(F, -1e3 * Matrix::Ones(kSamples, 2))));
  });
}

TEST_CASE("curvature is zero only where the slope is") {
  for_each_envelope([](const Loss&, const Loss& envelope, const Matrix& F) {
    Vector h(kSamples);
    envelope.curvature(F, h);
    const Matrix Theta = dual_point(envelope, F);
    for (Index i = 0; i < kSamples; ++i) CHECK((h[i] > 0.0) == !Theta.row(i).isZero(0.0));
  });
}

TEST_CASE("with its centre at a minimiser's multipliers the envelope is the loss there") {
  const auto hinge = make_loss("hinge", Matrix::Ones(3, 1), Vector::Constant(3, 1.0 / 3.0), 1.0);
  const auto envelope = hinge->proximal();
  Matrix F(3, 1), before(3, 1);
  F << 0.0, 1.0, 2.0;
  before << 0.0, 0.5, 2.0;
  // At the kink any multiplier is one; it is that of where the centre was.
  envelope->recentre(before);
  CHECK(envelope->value(F) == doctest::Approx(hinge->value(F)).epsilon(1e-15));
  const Matrix Theta = dual_point(*envelope, F);
  CHECK(Theta(0, 0) == doctest::Approx(1.0 / 3.0));
  CHECK(Theta(1, 0) == doctest::Approx(0.5 / 3.0));
  CHECK(Theta(2, 0) == 0.0);
}

}  // namespace
}  // namespace cvxnn
