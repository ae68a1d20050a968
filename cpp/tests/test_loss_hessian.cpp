// Newton's method on a loss whose outputs are curved apart.
#include "cvxnn/newton.hpp"
#include "cvxnn/operators/dense.hpp"
#include "cvxnn/operators/masked.hpp"
#include "fixtures.hpp"
#include "solving.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 60, kFeatures = 4, kBlocks = 5, kOutputs = 3;

// H as a matrix, samples below each other, outputs below those.
Matrix dense_hessian(const LossHessian& H) {
  const Index size = H.diagonal.size();
  Matrix dense(size, size);
  for (Index e = 0; e < size; ++e) {
    Matrix unit = Matrix::Zero(H.diagonal.rows(), H.diagonal.cols());
    unit.reshaped()[e] = 1.0;
    H.apply(unit);
    dense.col(e) = unit.reshaped();
  }
  return dense;
}

Matrix pseudo_inverse(const Matrix& S) {
  Vector values;
  Matrix vectors;
  symmetric_eigen(S, values, vectors);
  const double cut = 1e-12 * values.maxCoeff();
  const Vector inverse = (values.array() > cut).select(values.cwiseInverse(), 0.0);
  return vectors * inverse.asDiagonal() * vectors.transpose();
}

TEST_CASE("profiling takes off what the unpenalised block follows") {
  for (const char* name : {"squared", "logistic", "squared_hinge", "huber", "softmax"}) {
    CAPTURE(name);
    const auto loss = random_loss(name, kSamples, kOutputs, 1);
    Matrix columns = random_matrix(kSamples, 2, 2);
    columns.col(1) *= 1e6;  // units do not matter
    const Unpenalised free(columns, kOutputs);
    LossHessian H;
    loss->hessian(0.5 * random_matrix(kSamples, kOutputs, 3), H);
    ProfiledHessian profiled;
    REQUIRE(profiled.set(H, free));
    const Matrix dense = dense_hessian(H);
    Matrix A0 = Matrix::Zero(kSamples * kOutputs, 2 * kOutputs);
    for (Index k = 0; k < kOutputs; ++k) {
      A0.block(k * kSamples, 2 * k, kSamples, 2) = columns;
      A0.col(2 * k + 1) *= 1e-6;
    }
    const Matrix inner = A0.transpose() * dense * A0;
    const Matrix expected = dense - dense * A0 * pseudo_inverse(inner) * A0.transpose() * dense;
    Matrix V = random_matrix(kSamples, kOutputs, 4);
    const Vector image = expected * V.reshaped();
    profiled.apply(V);
    CHECK((V.reshaped() - image).norm() <= 1e-6 * image.norm() + 1e-12 * dense.norm());
  }
}

struct Case {
  DataMatrix<double> x = random_data<double>(kSamples, kFeatures, 1);
  Patterns patterns = random_patterns(kSamples, kBlocks, 2);
  WorkingSet working;
  Vector h = Vector::Zero(kSamples);
  Matrix F = Matrix::Zero(kSamples, kOutputs);
  Unpenalised free;
  std::unique_ptr<Operator> op;
  std::unique_ptr<Loss> loss;
  BlockSpectra spectra;
  NewtonMethod newton;
  Control control;

  // Masked blocks have common features, dense ones have not.
  static std::unique_ptr<Operator> make(bool masked, const DataMatrix<double>& x,
                                        const Patterns& patterns) {
    if (masked) return std::make_unique<MaskedDesign<double>>(map(x), patterns.view(), 1);
    return std::make_unique<DenseDesign<double>>(map(x), std::vector<Index>{0, 2, 4}, 1);
  }

  Case(const std::string& name, const Matrix& columns, bool masked, double l2_ratio = 0.0)
      : free(columns, kOutputs),
        op(make(masked, x, patterns)),
        loss(random_loss(name, kSamples, kOutputs, 3)),
        spectra(*op, 1),
        newton(*op, spectra, 1) {
    op->set_penalty(block_norm("frobenius"), l2_ratio);
    working.n_outputs = kOutputs;
    working.starts = {0};
    working.reset(*op, all_blocks(op->n_blocks()), Vector::Ones(op->n_blocks()), 1e-3);
    working.coefs = 0.1 * random_matrix(working.coefs.size(), 1, 5);
    op->forward(working.blocks, working.coefs.data(), Precision::accurate, F);
    newton.reserve(working, kSamples);
  }

  double step() {
    loss->curvature(F, h);
    return newton.loss_step(*loss, working, working.coefs, free, h, Precision::accurate, control,
                            F);
  }

  double objective() const { return loss->value(F) + working.penalty(working.coefs); }

  // Of the objective, in the coefficients of non-zero blocks and the unpenalised ones.
  double gradient_norm() {
    Matrix Theta(kSamples, kOutputs);
    loss->dual_point(F, Theta);
    Vector gradients(working.coefs.size());
    op->gradients(working.blocks, Theta, Precision::accurate, control, gradients.data());
    double square = (free.columns().transpose() * Theta).squaredNorm();
    for (Index j = 0; j < working.size(); ++j) {
      const Vector w = working.entries(working.coefs, j);
      if (w.isZero(0.0)) continue;
      const BlockPenalty& penalty = working.penalties[j];
      square += (Vector(working.entries(gradients, j)) - penalty.level * w.normalized() -
                 penalty.ridge * w)
                    .squaredNorm();
    }
    return std::sqrt(square);
  }
};

TEST_CASE("steps descend to where the gradient is zero, and the fit follows") {
  for (const char* name : {"logistic", "squared_hinge", "huber", "softmax"}) {
    CAPTURE(name);
    for (const Matrix& columns : {Matrix(kSamples, 0), intercept(kSamples)}) {
      for (const auto& [masked, l2_ratio] :
           {std::pair<bool, double>{true, 0.0}, {false, 0.0}, {true, 0.5}}) {
        Case c(name, columns, masked, l2_ratio);
        const double first = c.gradient_norm();
        for (int k = 0; k < 40; ++k) {
          const double before = c.objective();
          c.step();
          CHECK(c.objective() <= before * (1.0 + 1e-14));
        }
        CHECK(c.gradient_norm() <= 1e-6 * first);
        Matrix fit(kSamples, kOutputs);
        c.op->reference_forward(c.working.blocks, c.working.coefs.data(), fit);
        if (c.free.size() > 0) fit += c.free.columns() * c.free.coefs();
        CHECK((c.F - fit).norm() <= 1e-10 * (1.0 + fit.norm()));
      }
    }
  }
}

TEST_CASE("where no block is active the unpenalised one moves, or nothing") {
  for (const char* name : {"logistic", "softmax"}) {
    Case c(name, intercept(kSamples), true);
    c.working.coefs.setZero();
    c.F.setZero();
    for (int k = 0; k < 6; ++k) c.step();
    CHECK(c.working.coefs.isZero(0.0));
    CHECK(relative_error(c.free.columns() * c.free.coefs(), c.F) <= 1e-12);
    Matrix Theta(kSamples, kOutputs);
    c.loss->dual_point(c.F, Theta);
    CHECK((c.free.columns().transpose() * Theta).norm() <= 1e-10 * Theta.norm());

    Case none(name, Matrix(kSamples, 0), true);
    none.working.coefs.setZero();
    none.F.setZero();
    CHECK(none.step() == 0.0);
    CHECK(none.F.isZero(0.0));
  }
}

}  // namespace
}  // namespace cvxnn
