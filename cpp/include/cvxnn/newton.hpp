// Newton steps on the non-zero blocks of a quadratic model.
#pragma once

#include "cvxnn/line_search.hpp"
#include "cvxnn/newton_system.hpp"
#include "cvxnn/quadratic_model.hpp"

namespace cvxnn {

// Where no block is zero the objective is smooth, and has a Newton step. Others decide which blocks
// are zero; these steps do the rest (the semismooth view: Zhang, Zhang, Sun and Toh 2020). Every
// step ends by an exact line search, and changes W, fit and residual of the model and the
// unpenalised coefficients.
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

  double effort() const { return system_.effort(); }

 private:
  void measure(const WorkingSet& working, const Vector& W, const Vector& direction,
               const Matrix& fit, Unpenalised& free, const QuadraticModel& model);
  bool shorten(const WorkingSet& working, const Vector& W, Precision precision);
  void finish(double t, Unpenalised& free, QuadraticModel& model);

  const Operator& op_;
  NewtonSystem system_;
  LineSearch line_;
  Vector right_hand_side_, direction_, shortened_, excess_;
  Matrix fit_, shortened_fit_;
  std::vector<Index> blocks_;  // that cross zero
};

}  // namespace cvxnn
