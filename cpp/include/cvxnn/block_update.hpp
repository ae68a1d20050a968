// The exact minimiser of one block of a quadratic model (Qin, Scheinberg and Goldfarb 2013, sec.
// 2).
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// H = V diag(values) V^T. Without vectors V = I: then H is the multiple of the identity that bounds
// the Gram matrix of a block too large to decompose, and an update is a majorised step.
struct BlockSpectrum {
  Vector values;
  Matrix vectors;
  double mean = 0.0;  // of the eigenvalues; 0 where it is not known

  bool exact() const { return vectors.size() > 0; }
};

// Exact for blocks of up to kExactBlockSize features: the decomposition costs about ten cubes of
// it.
constexpr Index kExactBlockSize = 192;
BlockSpectrum decompose(ConstMatrixRef gram);

// The norm of argmin_Z 1/2 <Z, diag(values + ridge) Z> - <B, Z> + a ||Z||_F for ||B||_F > a:
// the root of sum_k ||B_k||^2 / ((values_k + ridge) eta + a)^2 = 1.
double block_norm(ConstVectorRef values, ConstMatrixRef B, double a, double ridge = 0.0);

// Overwrites Z by that minimiser.
void update_block(const BlockSpectrum& spectrum, ConstMatrixRef B, double a, double ridge,
                  MatrixRef Z);

}  // namespace cvxnn
