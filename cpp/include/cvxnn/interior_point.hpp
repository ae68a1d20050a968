// An interior-point method for the restricted problem: few iterations whatever alpha and the
// conditioning, each one linear system over samples.
#pragma once

#include <vector>

#include "cvxnn/cone_scaling.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/interior_system.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/quadratic_model.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// Mehrotra's predictor and corrector in the Nesterov-Todd scaling (Vandenberghe 2010, sec. 7), on
//   min 1/2 ||h^(1/2) (F - target)||^2 + sum_j x_j,  F = sum_j A_j y_j / alphas_j + A_0 W_0,
//   (x_j, y_j) and the dual (1, -z_j) in second-order cones,  z_j = A_j^T theta / alphas_j.
// Eliminating all but F leaves an InteriorSystem. One output.
class InteriorPoint {
 public:
  InteriorPoint(const Operator& op, int n_threads) : op_(op), system_(op, n_threads) {}

  // From zero coefficients until the gap between the model at W, its small blocks set to zero, and
  // `theta` is at most that share of the objective, or rounding forbids more. Changes W, the
  // unpenalised coefficients, and fit and residual of the model. theta: dual feasible for these
  // blocks, n_samples x 1. Returns the number of iterations.
  Index minimise(const WorkingSet& working, Vector& W, Unpenalised& free, QuadraticModel& model,
                 double share, Control& control, Matrix& theta);

 private:
  struct Direction {
    Vector heads, tails, z;  // of x, of y, of z
    Matrix theta;
  };

  void start(const WorkingSet& working, Unpenalised& free, QuadraticModel& model, Control& control);
  bool scale(const WorkingSet& working, Control& control);
  bool direction(const WorkingSet& working, double centre, bool corrector, Control& control,
                 Direction& out);
  double step_length(const WorkingSet& working, const Direction& d) const;
  double complementarity() const;
  void forward(const WorkingSet& working, const Vector& y, Matrix& F);
  void gradients(const WorkingSet& working, const Matrix& theta, Control& control, Vector& z);
  void fit(const WorkingSet& working, const Vector& y, Unpenalised& free, QuadraticModel& model);
  double keep_active(const WorkingSet& working, Unpenalised& free, QuadraticModel& model);

  const Operator& op_;

  double share_ = 0.0;     // of the loss at zero, one block's
  Vector heads_, y_, z_;   // x, y and z of each block
  Matrix theta_, excess_;  // and theta less the residual of the model
  Vector pull_;            // A^T excess / alphas
  std::vector<ConeScaling> scalings_;
  Vector directions_, lambda_heads_, lambda_;
  Vector root_;  // h^(1/2)
  InteriorSystem system_;
  Vector weights_;  // a_j of the system
  Vector right_hand_side_, samples_;
  Vector kept_, scaled_;
  Direction predictor_, step_;
};

}  // namespace cvxnn
