// Newton steps on the non-zero blocks: of a quadratic model, or of the loss.
#pragma once

#include "cvxnn/line_search.hpp"
#include "cvxnn/loss.hpp"
#include "cvxnn/newton_system.hpp"
#include "cvxnn/quadratic_model.hpp"

namespace cvxnn {

// Where no block is zero the objective is smooth, and has a Newton step. Others decide which blocks
// are zero; these steps do the rest (the semismooth view: Zhang, Zhang, Sun and Toh 2020). Every
// step ends by a line search, exact in the model, and changes W, fit and residual of the model and
// the unpenalised coefficients.
class NewtonMethod {
 public:
  NewtonMethod(const Operator& op, BlockSpectra& spectra, int n_threads)
      : op_(op), system_(op, spectra, n_threads) {}

  // The curvature has changed.
  void clear() { system_.clear(); }

  // Makes room: a step allocates nothing but its preconditioner.
  void reserve(const WorkingSet& working, Index n_samples);

  // One step from W. Returns its length, 1 where no block is active.
  double step(const WorkingSet& working, Vector& W, Unpenalised& free, QuadraticModel& model,
              Precision precision, Control& control);

  // One step of the objective itself, for a loss whose outputs the model curves alike and it does
  // not: changes W, the fit and the unpenalised coefficients. h: the curvature of the model. Zero,
  // and nothing changed, where nothing descends.
  double loss_step(const Loss& loss, const WorkingSet& working, Vector& W, Unpenalised& free,
                   ConstVectorRef h, Precision precision, Control& control, Matrix& F);

  double effort() const { return system_.effort(); }

 private:
  template <class SetFit>
  double choose(const WorkingSet& working, const Vector& W, Precision precision,
                const SetFit& set_fit);
  template <class SetFit>
  void measure(const WorkingSet& working, const Vector& W, const Vector& direction,
               const Matrix& fit, const SetFit& set_fit);
  void subtract_penalties(const WorkingSet& working, const Vector& W);
  void move_blocks(double t, const WorkingSet& working, Vector& W);
  double backtrack(const Loss& loss, double t, const Matrix& F);
  bool shorten(const WorkingSet& working, const Vector& W, Precision precision);
  void finish(double t, Unpenalised& free, QuadraticModel& model);

  const Operator& op_;
  NewtonSystem system_;
  LineSearch line_;
  Vector right_hand_side_, direction_, shortened_, excess_;
  Matrix fit_, shortened_fit_;
  std::vector<Index> blocks_;  // that cross zero
  LossHessian hessian_;
  ProfiledHessian profiled_;
  Matrix residual_, free_step_, free_follows_, trial_;
};

}  // namespace cvxnn
