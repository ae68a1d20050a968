// The problem restricted to a working set, and its inner solver.
#pragma once

#include <memory>
#include <unordered_map>

#include "cvxnn/augmented_lagrangian.hpp"
#include "cvxnn/bcd.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/dual_correction.hpp"
#include "cvxnn/fista.hpp"
#include "cvxnn/interior_point.hpp"
#include "cvxnn/loss.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// How a problem is solved. automatic: fista where it is quick to the target, newton from there, and
// interior_point instead where newton turns out to be slow.
enum class Method { automatic, bcd, fista, newton, interior_point };

// min L(F) + sum_j p_j(W_j), p_j their penalties, over the working set and the unpenalised block:
// block coordinate descent on a quadratic model of the loss, once for the squared loss, else within
// proximal Newton steps with a line search (Lee, Sun and Saunders 2014). A loss with kinks gives
// way to its envelope, about a centre that follows.
class RestrictedProblem {
 public:
  RestrictedProblem(const Operator& op, const Loss& loss, Matrix free_columns, Method method,
                    int n_threads);

  WorkingSet working;
  Unpenalised free;
  Precision precision = Precision::standard;

  const Matrix& fit() const { return model_.F; }
  Index n_epochs() const { return n_epochs_; }

  // Recomputes the fit from the coefficients, without the rounding that steps accumulate.
  void refresh_fit();

  // Moves to these coefficients if the objective is lower there; the fit is that of where it stays.
  void try_coefs(const Vector& coefs, const Matrix& free_coefs);

  // A dual candidate at the current fit, feasible for the unpenalised block and, where penalties
  // have a ridge, in the loss's domain.
  void dual_point(Matrix& Theta);

  // Theta, from dual_point(), moves to where the constraints of these blocks nearly hold with
  // equality. False, and nothing done, where that does not pay.
  bool correct_dual_point(const std::vector<Index>& blocks, ConstVectorRef limits, Control& control,
                          Matrix& Theta);

  double primal() const { return objective(loss_, model_.F, working.coefs); }

  // L(F) + L*(-s Theta) + <F, s Theta> + ... >= 0, where s Theta is feasible for all blocks, or
  // `conjugates` is the sum of those of the penalties there: the gap in a form without
  // cancellation. Theta must come from the functions above. Infinite where it could not satisfy the
  // unpenalised block and the loss's domain at once.
  double gap(const Matrix& Theta, double scale, double conjugates = 0.0) const {
    return gap(loss_, Theta, scale, conjugates);
  }

  // Lowers the objective until the gap over the working set is at most `target`, or effort runs
  // out.
  void minimise(double target, Control& control);

  // What minimise() found besides, if anything: a dual point that is nearer to the optimum than
  // that of the fit, for blocks in cones.
  const Matrix& cone_dual_point() const { return cone_theta_; }

  // The same from zero by the interior-point method. Theta: a dual point as dual_point() makes
  // them, at which the gap is at most that share of the objective if rounding allows; that at the
  // fit may be far worse. Empty, and nothing changed, where rounding leaves nothing better than
  // before. For the squared loss and one output.
  void minimise_interior(double share, Control& control, Matrix& Theta);

  // Estimated seconds of the Newton steps so far, by their products and decompositions: the same on
  // every machine.
  double effort() const { return descent_.effort() + newton_.effort(); }

 private:
  void set_model();
  bool majorise();
  void into_domain(Matrix& Theta) const;
  bool begins_with_fista(double target) const;
  void minimise_model(double target, Index max_epochs, Control& control);
  void minimise_smooth(double target, Control& control);
  double objective(const Loss& loss, ConstMatrixRef F, const Vector& coefs) const;
  double gap(const Loss& loss, const Matrix& Theta, double scale, double conjugates = 0.0) const;
  double restricted_gap(const Loss& loss, Control& control);
  bool line_search();
  bool newton_on_loss(double target, Control& control);
  bool curves_outputs_apart() const;
  void remember();
  void restore();

  const Operator& op_;
  const Loss& loss_;
  std::unique_ptr<ProximalLoss> proximal_;  // of a loss with kinks
  const Loss& smooth_;                      // what steps are taken on: that, or the loss
  Method method_;
  BlockSpectra spectra_;
  BlockDescent descent_;
  Fista fista_;
  InteriorPoint interior_;
  NewtonMethod newton_;  // on the loss; that on the model is descent_'s
  AugmentedLagrangian lagrangian_;
  DualCorrection correction_;
  QuadraticModel model_;  // model_.F is the fit
  bool curvature_set_ = false;
  Matrix theta_, cone_theta_;
  Matrix F0_, free0_;  // where a Newton step began
  Vector coefs0_, gradients_;
  std::unordered_map<Index, LastProjection> projections_;  // of gradients, on the cones of blocks
  Index n_epochs_ = 0;
};

}  // namespace cvxnn
