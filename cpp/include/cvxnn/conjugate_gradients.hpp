// Preconditioned conjugate gradients. Eigen's own stop on the norm of the residual alone, and
// allocate.
#pragma once

#include "cvxnn/control.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

class ConjugateGradients {
 public:
  // Of the residual: its norm, and the share of <residual, preconditioned residual> that is left.
  // Whichever is reached first; zero is no goal.
  struct Goal {
    double norm = 0.0;
    double share = 0.0;
  };

  struct Outcome {
    bool reached;
    Index iterations;
  };

  void reserve(Index size) {
    for (Vector* v : {&residual_, &preconditioned_, &search_, &image_}) v->resize(size);
  }

  // Takes the first `size` entries of x towards the solution for those of b. apply(v, out) and
  // precondition(v, out) write as many entries of vectors that are as long as what is reserved.
  template <class Apply, class Precondition>
  Outcome solve(Index size, const Vector& b, const Apply& apply, const Precondition& precondition,
                Goal goal, Index max_iterations, Control& control, Vector& x) {
    auto r = residual_.head(size), z = preconditioned_.head(size);
    auto p = search_.head(size), q = image_.head(size);
    r = b.head(size);
    if (!x.head(size).isZero(0.0)) {
      apply(x, image_);
      r -= q;
    }
    double rho = 0.0, first = 0.0;
    for (Index n = 0;; ++n) {
      if (r.norm() <= goal.norm) return {true, n};
      precondition(residual_, preconditioned_);
      const double next = r.dot(z);
      if (n == 0) first = next;
      if (next <= goal.share * first) return {next >= 0.0, n};
      if (n == max_iterations || !(next > 0.0)) return {false, n};
      if (n == 0) {
        p = z;
      } else {
        p = z + (next / rho) * p;
      }
      rho = next;
      apply(search_, image_);
      const double curvature = p.dot(q);
      if (!(curvature > 0.0)) return {false, n};
      x.head(size) += (rho / curvature) * p;
      r -= (rho / curvature) * q;
      control.poll();
    }
  }

 private:
  Vector residual_, preconditioned_, search_, image_;
};

}  // namespace cvxnn
