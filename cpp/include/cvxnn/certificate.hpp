// The duality gap of a solution, recomputed from scratch in float64 by code that no solver loop
// uses.
#pragma once

#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/loss.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

struct Certificate {
  double primal = 0.0;  // L(F) + alpha sum_b weight_b ||W_b||
  double dual = 0.0;    // a lower bound of the optimum over all blocks of the operator
  double gap = 0.0;     // primal - dual >= 0
};

// max_b ||A_b^T Theta|| / weight_b over blocks of positive weight (the dual norm of the penalty).
double reference_dual_norm(const Operator& op, ConstVectorRef weights, ConstMatrixRef Theta,
                           int n_threads, Control& control);

// Theta: any dual candidate; it is projected and scaled here. The bound is never below zero, which
// bounds every loss of the library.
Certificate certify(const Operator& op, const Loss& loss, ConstVectorRef weights, double alpha,
                    const std::vector<Index>& blocks, const Vector& coefs, const Unpenalised& free,
                    Matrix Theta, int n_threads, Control& control);

}  // namespace cvxnn
