// Eigenvalues of symmetric matrices, compiled once.
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// S = vectors diag(values) vectors^T, values ascending; the lower triangle of S is read.
void symmetric_eigen(ConstMatrixRef S, Vector& values, Matrix& vectors);

}  // namespace cvxnn
