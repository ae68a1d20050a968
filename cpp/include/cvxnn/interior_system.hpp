// The linear system of an iteration of InteriorPoint, by conjugate gradients whose preconditioner
// serves several iterations.
#pragma once

#include "cvxnn/conjugate_gradients.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/sample_system.hpp"
#include "cvxnn/types.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// S v + E c = r, E^T v = 0, with S = I + h^(1/2) sum_j a_j A_j (I + 2 w_j w_j^T) A_j^T h^(1/2) and
// E the unpenalised columns, orthonormal. As the barrier vanishes the a_j tend to limits, while the
// w_j of non-zero blocks grow without bound. So what is factored, in float, is S without the w_j at
// an iteration before, which come in by Woodbury's formula; it is factored again once that saves
// time. Where rounding spoils this, S itself is factored in double.
class InteriorSystem {
 public:
  InteriorSystem(const Operator& op, int n_threads)
      : op_(op), n_threads_(n_threads), lagged_(op, n_threads), exact_(op, n_threads) {}

  void start(const WorkingSet& working, Vector root, Matrix free);

  // The system of another iteration; w has the w_j one after the other. False where it cannot be
  // factored.
  bool set(const WorkingSet& working, const Vector& a, const Vector& w, Control& control);

  // From the guess v, to a residual of at most `tolerance`. False where nothing solves the system.
  bool solve(const WorkingSet& working, const Vector& r, double tolerance, Control& control,
             Vector& v);

 private:
  bool renew(const WorkingSet& working, Control& control);
  bool correct(const WorkingSet& working, Control& control);
  bool factor(const WorkingSet& working, Control& control);
  void solve_factored_system(const Vector& r, Vector& v);
  bool solve_iteratively(const WorkingSet& working, const Vector& r, double tolerance,
                         Control& control, Vector& v);
  void product(const WorkingSet& working, const Vector& v, Control& control, Vector& out);
  void precondition(const Vector& r, Vector& out);

  const Operator& op_;
  int n_threads_;
  Vector root_;  // h^(1/2)
  Matrix free_;  // E
  Vector a_, w_;

  SampleSystem<MatrixF> lagged_;
  Vector lagged_a_;
  Matrix Z_;  // lagged^-1/2 of the (2 a_j)^(1/2) h^(1/2) A_j w_j that are not small, and of E
  Matrix capacitance_;  // its factor
  Vector inner_, coefs_, projected_, samples_;
  ConjugateGradients gradients_;
  MatrixF rounded_;

  SampleSystem<Matrix> exact_;
  Matrix free_solved_;  // exact^-1/2 E
  bool by_factor_ = false;

  // Estimated seconds: of a factorisation of either kind and of one conjugate gradient; of the
  // iterations since the last factorisation, with it, and of the last of them.
  double lagged_seconds_ = 0.0, exact_seconds_ = 0.0, gradient_seconds_ = 0.0;
  double spent_ = 0.0, recent_ = 0.0;
  Index age_ = 0;
};

}  // namespace cvxnn
