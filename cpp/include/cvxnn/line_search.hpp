// The exact line search of a quadratic model and its penalty, along a direction in some blocks.
#pragma once

#include "cvxnn/quadratic_model.hpp"
#include "cvxnn/types.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

// slope t + curvature t^2 / 2 + sum_j (p_j(W_j + t Y_j) - p_j(W_j)), p_j their penalties of
// Frobenius norms: convex in t.
class LineSearch {
 public:
  // Makes room: nothing below allocates.
  void reserve(Index n_blocks, Index n_samples, Index n_outputs);

  void clear();
  void add(const BlockPenalty& penalty, ConstVectorRef W, ConstVectorRef Y);
  // fit: the image of the direction. With `free`, the unpenalised block follows the step.
  void set_fit(const Matrix& fit, const QuadraticModel& model);
  void set_fit(const Matrix& fit, const QuadraticModel& model, Unpenalised& free);
  void set_fit(double slope, double curvature);

  // The step's length: 0 where nothing descends, 1 where that does nearly as well as the minimiser.
  // The minimiser itself is often a kink, a block at zero, at which next steps would be stuck.
  double length(double longest) const;

  // Of the objective, after a step of length t.
  double change(double t) const;
  double penalty_change(double t) const;

 private:
  double derivative(double t) const;
  bool full_step_descends() const;

  double slope_ = 0.0, curvature_ = 0.0;
  double ridge_slope_ = 0.0, ridge_curvature_ = 0.0;
  Index n_blocks_ = 0;
  Vector levels_, squares_, inner_, lengths_;  // of p_j, ||W_j||^2, <W_j, Y_j>, ||Y_j||^2
  Matrix projected_;
};

}  // namespace cvxnn
