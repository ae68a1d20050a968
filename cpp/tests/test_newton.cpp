#include "cvxnn/newton.hpp"
#include "cvxnn/operators/masked.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 120, kFeatures = 4, kBlocks = 40;

// The squared loss over more blocks than a solution needs: most are to be zero.
struct Case {
  DataMatrix<double> x = random_data<double>(kSamples, kFeatures, 1);
  Patterns patterns = random_patterns(kSamples, kBlocks, 2);
  MaskedDesign<double> design{map(x), patterns.view(), 1};
  std::unique_ptr<Loss> loss = random_loss("squared", kSamples, 1, 3);
  WorkingSet working;
  QuadraticModel model;
  Unpenalised free{intercept(kSamples), 1};
  BlockSpectra spectra{design, 1};
  NewtonMethod newton{design, spectra, 1};
  Control control;

  Case() {
    working.starts = {0};
    working.reset(design, all_blocks(kBlocks), Vector::Ones(kBlocks), 2.5e-2);
    working.coefs = random_matrix(kBlocks * kFeatures, 1, 4);
    model.resize(kSamples, 1);
    refresh();
    newton.reserve(working, kSamples);
  }

  void refresh() {
    design.reference_forward(working.blocks, working.coefs.data(), model.F);
    loss->curvature(model.F, model.h);
    free.set_curvature(model.h);
    loss->dual_point(model.F, model.R);
    free.fit(model.F, model.R);
  }
  double objective() const { return loss->value(model.F) + working.penalty(working.coefs); }
  double step() {
    return newton.step(working, working.coefs, free, model, Precision::accurate, control);
  }

  // Of the objective in the non-zero blocks, over that of the loss.
  double stationarity() {
    Vector gradients(working.coefs.size());
    design.gradients(working.blocks, model.R, Precision::accurate, control, gradients.data());
    double square = 0.0;
    for (Index j = 0; j < kBlocks; ++j) {
      const Vector w = working.entries(working.coefs, j);
      if (w.isZero(0.0)) continue;
      square +=
          (Vector(working.entries(gradients, j)) - working.penalties[j].level * w.normalized())
              .squaredNorm();
    }
    return std::sqrt(square) / gradients.norm();
  }
};

TEST_CASE("a few steps take many blocks to zero and the others to where the gradient is zero") {
  Case c;
  for (int k = 0; k < 15; ++k) {
    const double before = c.objective();
    c.step();
    CHECK(c.objective() <= before * (1.0 + 1e-13));
  }
  CHECK(c.working.n_active() <= 3 * kBlocks / 4);
  CHECK(c.working.n_active() > 0);
  CHECK(c.stationarity() <= 1e-6);
}

TEST_CASE("the fit and the unpenalised block follow the steps") {
  Case c;
  for (int k = 0; k < 5; ++k) c.step();
  const Matrix F = c.model.F, R = c.model.R;
  Matrix fit(kSamples, 1);
  c.design.reference_forward(c.working.blocks, c.working.coefs.data(), fit);
  fit += c.free.columns() * c.free.coefs();
  CHECK(relative_error(F, fit) <= 1e-12);
  c.loss->dual_point(fit, c.model.R);
  CHECK(relative_error(R, c.model.R) <= 1e-10);
}

TEST_CASE("where no block is active a step is of length one") {
  Case c;
  c.working.coefs.setZero();
  c.refresh();
  CHECK(c.step() == 1.0);
}

}  // namespace
}  // namespace cvxnn
