// The duality gap of a solution, recomputed from scratch in float64 by code that no solver loop
// uses.
#pragma once

#include <limits>
#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/loss.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {

// Of the penalty's level, which the dual norm reaches at an optimum: below, a bound of it will do.
constexpr double kTight = 0.9;

struct Certificate {
  double primal = 0.0;  // L(F) and the penalties of all blocks, alpha times their weights strong
  double dual = 0.0;    // a lower bound of the optimum over all blocks of the operator
  double gap = 0.0;     // primal - dual >= 0
  Matrix Theta;         // the dual point of that bound; feasible where penalties have no ridge
};

// The dual norm of the penalty: the largest dual norm of A_b^T Theta over weight_b, over blocks of
// positive weight.
struct DualNorm {
  double value = 0.0;
  Index block = 0;          // of the largest
  double conjugates = 0.0;  // the sum of those of the penalties at A_b^T Theta
};
// Where that is at most `enough`, a bound from above may stand for it. projections: of each block
// in a cone, where its next one begins.
DualNorm reference_dual_norm(const Operator& op, ConstVectorRef weights, ConstMatrixRef Theta,
                             int n_threads, Control& control,
                             double alpha = std::numeric_limits<double>::infinity(),
                             double enough = 0.0,
                             std::vector<LastProjection>* projections = nullptr);

// The blocks whose dual norm is at least `least`, and their gradients, restricted, one a column.
// For blocks of one size and one output.
struct TightBlocks {
  std::vector<Index> blocks;
  Matrix gradients;
};
TightBlocks tight_blocks(const Operator& op, ConstMatrixRef Theta, double least, int n_threads,
                         Control& control);

// Theta, orthogonal to the unpenalised block, moves into the loss's domain, and back to where it is
// orthogonal: entries that are zero there would not stay so by a projection that moves all.
void into_domain(const Loss& loss, const Unpenalised& free, Matrix& Theta);

// d(s Theta) at the best s <= limit, a lower bound of the optimum if limit * N(Theta) <= alpha for
// the dual norm N; never below zero, which bounds every loss of the library.
double lower_bound(const Loss& loss, const Unpenalised& free, const Matrix& Theta, double limit);

// Theta: any dual candidate; it is projected and scaled here. The bound is never below zero, which
// bounds every loss of the library.
Certificate certify(const Operator& op, const Loss& loss, ConstVectorRef weights, double alpha,
                    const std::vector<Index>& blocks, const Vector& coefs, const Unpenalised& free,
                    Matrix Theta, int n_threads, Control& control,
                    std::vector<LastProjection>* projections = nullptr);

}  // namespace cvxnn
