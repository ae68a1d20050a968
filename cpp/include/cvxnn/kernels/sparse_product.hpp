// The two all-pattern products of masked sparse data, as those of kernels/masked_product.hpp:
//   pricing  out_p = X^T D_p R   for every pattern of a list
//   forward  F = sum_p D_p X W_p
// in float64. An entry of X meets eight (pattern, output) pairs at a time, its row's bits deciding
// which; tables over patterns, which pay on dense data, cost more than the few entries of a row.
#pragma once

#include <vector>

#include "cvxnn/aligned.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/sparse_rows.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn::kernels {

// Grows on first use, then serves without allocation.
struct SparseScratch {
  std::vector<AlignedBuffer<double>> sums;  // of a tile, one a thread
  AlignedBuffer<double> coefs;              // of all tiles
};

// out: the blocks of the list one after the other, each n_features x n_outputs, column-major.
template <class T>
void sparse_gradients(const SparseRows<T>& x, const PatternView& patterns,
                      const std::vector<Index>& list, ConstMatrixRef R, int n_threads,
                      Control& control, SparseScratch& scratch, double* out);

// coefs: laid out as `out` above. F is overwritten.
template <class T>
void sparse_forward(const SparseRows<T>& x, const PatternView& patterns,
                    const std::vector<Index>& list, const double* coefs, int n_threads,
                    SparseScratch& scratch, MatrixRef F);

}  // namespace cvxnn::kernels
