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
  template <class Solve, class SetFit>
  double choose(const WorkingSet& working, const Vector& W, Precision precision, const Solve& solve,
                const SetFit& set_fit);
  template <class SetFit>
  void measure(const WorkingSet& working, const Vector& W, const Vector& step, const Matrix& fit,
               const SetFit& set_fit);
  bool stop_at_zero(const WorkingSet& working, Precision precision);
  void zero_crossing(const WorkingSet& working, Precision precision);
  void join(const WorkingSet& working, const Vector& W);
  void subtract_penalties(const WorkingSet& working);
  void move_blocks(double t, const WorkingSet& working, Vector& W);
  double free_loss_step(const Loss& loss, Unpenalised& free, Matrix& F);
  double backtrack(const Loss& loss, double t, const Matrix& F);
  void finish(double t, Unpenalised& free, QuadraticModel& model);

  const Operator& op_;
  NewtonSystem system_;
  LineSearch line_;
  Vector right_hand_side_, direction_;  // of the system
  Vector kept_;                         // W without the blocks that are to be zero
  Vector change_, step_, best_;
  Matrix fit_, zeroed_fit_, best_fit_;
  std::vector<Index> crossing_, blocks_;  // that cross zero, in the working set and of all
  LossHessian hessian_;
  ProfiledHessian profiled_;
  Matrix residual_, moved_, free_step_, free_follows_, best_free_, trial_;
};

}  // namespace cvxnn
