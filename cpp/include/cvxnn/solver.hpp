// The engine: a working-set loop around the restricted problem, stopped by the duality gap alone.
#pragma once

#include <vector>

#include "cvxnn/certificate.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/loss.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/pricing.hpp"
#include "cvxnn/restricted.hpp"

namespace cvxnn {

struct Settings {
  double tol = 1e-4;      // stop at gap <= tol * primal
  Index max_iter = 1000;  // evaluations of the gap over all blocks
  bool screening = true;
  Method method = Method::automatic;
  int n_threads = 1;

  void verify() const;
};

struct Solution {
  Status status = Status::max_iter;
  double alpha = 0.0;
  Certificate certificate;
  std::vector<Index> blocks;  // non-zero penalised ones, ascending
  Vector coefs;               // one after the other, block_size x n_outputs each
  Matrix free_coefs;          // of the unpenalised columns
  Index n_iter = 0;
  Index n_epochs = 0;
  double seconds = 0.0;
  std::vector<Progress> trace;
};

// min L(F) + alpha sum_b weight_b p(W_b),  F = sum_b A_b W_b + A_0 W_0, p the norm of the
// operator's blocks or its mean with a ridge.
class Solver {
 public:
  // weights: one a block, >= 0; a block of weight zero joins A_0, after the columns `free`.
  // Operator and loss are views that the caller keeps alive.
  Solver(const Solver&) = delete;  // its pricing refers to its weights
  Solver& operator=(const Solver&) = delete;
  Solver(const Operator& op, const Loss& loss, Vector weights, Matrix free, Settings settings);

  // The smallest alpha at which every penalised block is zero.
  double alpha_max(Control& control);

  // Warm-started by the previous solution.
  Solution solve(double alpha, Control& control);

  // The next solve starts from these blocks.
  void warm_start(const std::vector<Index>& blocks, const Vector& coefs, const Matrix& free_coefs);

 private:
  struct Run;  // the state of one solve
  struct Priced {
    double scale, dual;  // of theta to where the lower bound holds, and that bound
    bool best;           // so far
  };

  Priced price(Run& run, double primal, Precision precision, Control& control);
  void iterate(Run& run, Control& control);
  void use_accurate_products(Run& run);
  bool converged(Run& run, const Progress& progress, Control& control);
  void certify_now(Run& run, Control& control);
  std::vector<Index> next_working_set(double alpha) const;
  bool correct_dual_point(Run& run, Control& control);
  Priced price_all(Run& run, double primal, Control& control);
  bool interior_point_applies() const;
  bool interior_point_pays(const Run& run, const Progress& progress) const;
  void solve_interior(Run& run, Control& control);
  void collect(Solution& solution) const;
  void extrapolate(double alpha);

  // Where a solve ended: what the next one is extrapolated from.
  struct Point {
    double alpha = 0.0;
    std::vector<Index> blocks;
    Vector coefs;
    Matrix free_coefs;
  };

  const Operator& op_;
  const Loss& loss_;
  Vector weights_;
  Settings settings_;
  RestrictedProblem restricted_;
  Pricing pricing_;
  double last_alpha_ = 0.0;
  Point previous_;
};

}  // namespace cvxnn
