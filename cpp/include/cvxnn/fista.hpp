// Accelerated proximal gradient steps on a quadratic model: two bit products an iteration.
#pragma once

#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/quadratic_model.hpp"
#include "cvxnn/unpenalised.hpp"
#include "cvxnn/working_set.hpp"

namespace cvxnn {

// FISTA (Beck and Teboulle 2009) with backtracking and gradient restarts (O'Donoghue and Candes
// 2015). The proximal step of a block in a cone is its projection, then shrunk. Needs nothing of a
// block but its products, so that it costs nothing to begin; slow where the problem is
// ill-conditioned.
class Fista {
 public:
  Fista(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // Lowers the model until its gap over the working set is at most target_gap, max_iterations are
  // over or, if it `may_yield`, the gap falls slowly. Returns the number of iterations.
  // Coefficients and fit stay consistent if a StopRequest ends the call.
  Index minimise(WorkingSet& working, Unpenalised& free, QuadraticModel& model, Precision precision,
                 double target_gap, Index max_iterations, bool may_yield, Control& control);

  // Whether the last call reached its target.
  bool reached() const { return reached_; }

 private:
  void start(const WorkingSet& working, const Unpenalised& free, const QuadraticModel& model);
  void evaluate(const WorkingSet& working, Unpenalised& free, const QuadraticModel& model,
                Precision precision);
  void step(const WorkingSet& working, Unpenalised& free, const QuadraticModel& model,
            Precision precision);
  void shrink(const WorkingSet& working);
  void advance(WorkingSet& working, const Unpenalised& free, QuadraticModel& model);

  const Operator& op_;
  int n_threads_;
  double curvature_ = 0.0;  // L; the next call begins with that of the last
  double highest_ = 0.0;    // L so far
  double momentum_ = 1.0;
  bool reached_ = false;
  Vector point_, gradients_, next_;  // where gradients are taken, A^T R there, the next iterate
  Matrix point_fit_, point_residual_, point_free_;
  Matrix fit_, residual_, free_before_;
};

}  // namespace cvxnn
