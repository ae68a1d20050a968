// Large dense symmetric matrices, in place and on threads: Eigen's blocks, our tiles.
#pragma once

#include "cvxnn/control.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// S += factor L L^T, lower triangle. Tiles depend on the size alone: so do results.
void add_lower_product(double factor, ConstMatrixRef L, int n_threads, MatrixRef S);
void add_lower_product(float factor, ConstMatrixFRef L, int n_threads, MatrixFRef S);

// S = L L^T in the lower triangle of S; what stands above the diagonal is not read. False where S
// is not positive definite to rounding.
bool factor_in_place(MatrixRef S, int n_threads, Control& control);
bool factor_in_place(MatrixFRef S, int n_threads, Control& control);

// The same for small ones: on one thread, not to be stopped.
bool factor_in_place(MatrixRef S);

// Overwrites B by S^-1 B, after factor_in_place.
void solve_factored(ConstMatrixRef S, MatrixRef B);

}  // namespace cvxnn
