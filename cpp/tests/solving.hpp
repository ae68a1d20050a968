// Whole problems for the tests of the solver, and their objective written out.
#pragma once

#include "cvxnn/solver.hpp"
#include "fixtures.hpp"

namespace cvxnn::testing {

// A problem over the blocks of an operator; views of operator and loss.
struct Instance {
  const Operator& op;
  const Loss& loss;
  Vector weights;
  Matrix free;

  Instance(const Operator& design, const Loss& its_loss, Matrix free_columns = Matrix())
      : op(design),
        loss(its_loss),
        weights(Vector::Ones(design.n_blocks())),
        free(std::move(free_columns)) {
    if (free.size() == 0) free.resize(op.n_samples(), 0);
  }
  explicit Instance(const GatedProblem& problem, Matrix free_columns = Matrix())
      : Instance(problem.design, *problem.loss, std::move(free_columns)) {}

  Solver solver(Settings settings) const {
    settings.n_threads = std::max(settings.n_threads, kThreads);
    return Solver(op, loss, weights, free, settings);
  }
  double alpha_max() const {
    Control control;
    return solver(Settings()).alpha_max(control);
  }
  Solution solve(double alpha, const Settings& settings) const {
    Control control;
    return solver(settings).solve(alpha, control);
  }

  Matrix block(Index b) const {
    Matrix dense(op.n_samples(), op.block_size(b));
    op.dense_block(b, dense);
    return dense;
  }
  // `free` and the blocks of weight zero, in the order of the coefficients.
  Matrix unpenalised() const {
    Matrix columns = free;
    for (Index b = 0; b < op.n_blocks(); ++b) {
      if (weights[b] != 0.0) continue;
      columns.conservativeResize(Eigen::NoChange, columns.cols() + op.block_size(b));
      columns.rightCols(op.block_size(b)) = block(b);
    }
    return columns;
  }
  Matrix fit(const Solution& solution) const {
    Matrix F = unpenalised() * solution.free_coefs;
    for_each_block(solution, [&](Index b, const Matrix& W) { F += block(b) * W; });
    return F;
  }
  double objective(const Solution& solution) const {
    double sum = loss.value(fit(solution));
    for_each_block(solution, [&](Index b, const Matrix& W) {
      sum += op.penalty(solution.alpha * weights[b]).value(W);
    });
    return sum;
  }

  template <class Fn>
  void for_each_block(const Solution& solution, Fn&& fn) const {
    const double* values = solution.coefs.data();
    for (const Index b : solution.blocks) {
      fn(b, Matrix(ConstMatrixMap(values, op.block_size(b), loss.n_outputs())));
      values += op.block_size(b) * loss.n_outputs();
    }
  }
};

inline Settings with_tol(double tol) {
  Settings settings;
  settings.tol = tol;
  return settings;
}

inline Matrix intercept(Index n_samples) { return Matrix::Ones(n_samples, 1); }

inline bool same_solution(const Solution& a, const Solution& b) {
  return a.blocks == b.blocks && same_bits(a.coefs, b.coefs) &&
         same_bits(a.free_coefs, b.free_coefs) && a.n_iter == b.n_iter &&
         a.n_epochs == b.n_epochs && a.certificate.primal == b.certificate.primal &&
         a.certificate.dual == b.certificate.dual;
}

}  // namespace cvxnn::testing
