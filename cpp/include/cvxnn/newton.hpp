// Newton steps on the non-zero blocks of a quadratic model.
#pragma once

#include "cvxnn/newton_system.hpp"
#include "cvxnn/quadratic_model.hpp"

namespace cvxnn {

// Where no block is zero the objective is smooth, and has a Newton step. Exact block updates decide
// which blocks are zero; these steps do the rest (the semismooth view: Zhang, Zhang, Sun and Toh
// 2020). One output only.
class NewtonMethod {
 public:
  NewtonMethod(const Operator& op, BlockSpectra& spectra) : system_(op, spectra) {}

  // Makes room: a step allocates nothing.
  void reserve(const WorkingSet& working, Index n_samples);

  // One step from W by an exact line search: changes W, fit and residual of the model and the
  // unpenalised coefficients. Returns the length of the step, 1 where no block is active.
  double step(const WorkingSet& working, Vector& W, Unpenalised& free, QuadraticModel& model,
              Precision precision, Control& control);

  double effort() const { return system_.effort(); }

 private:
  double derivative(double t) const;
  bool full_step_descends() const;
  double line_search() const;

  NewtonSystem system_;
  Vector right_hand_side_, direction_;
  Matrix fit_, projected_;
  // Along the direction: slope t + curvature t^2 / 2 + sum_j alphas_j ||W_j + t Y_j||.
  double slope_ = 0.0, curvature_ = 0.0;
  Index n_blocks_ = 0;
  Vector alphas_, squares_, inner_, lengths_;  // alphas_j, ||W_j||^2, <W_j, Y_j>, ||Y_j||^2
};

}  // namespace cvxnn
