// What the parts of a solve cost, in seconds of one nominal core: enough to choose between methods,
// and the same on every machine, so that the choice is too.
#pragma once

#include <algorithm>

#include "cvxnn/types.hpp"

namespace cvxnn::cost {

// Rates of a core with AVX2 (bench/bench_kernels.py; bench/bench_scale.py limits).
constexpr double kTableRate = 60e9;  // multiply-adds of the bit products, float tables
constexpr double kDenseRate = 20e9;  // multiply-adds of blocked dense products and factorisations
constexpr double kStreamRate = 3e9;  // multiply-adds of matrix-vector products out of memory

// Bit products of n_samples with so many coefficients.
inline double products(Index n_samples, Index n_coefs) {
  return static_cast<double>(n_samples) * static_cast<double>(n_coefs) / kTableRate;
}

inline double streamed(double multiply_adds) { return multiply_adds / kStreamRate; }

// A block's Gram matrix: half of it, of half of the samples.
inline double gram(Index n_samples, Index size) {
  return 0.25 * static_cast<double>(n_samples) * static_cast<double>(size * size) / kDenseRate;
}

inline double eigenvectors(Index size) {
  return 10.0 * static_cast<double>(size) * static_cast<double>(size * size) / kDenseRate;
}

// Of the interior-point method over so many blocks of so many features: its system formed and
// factored in double; without its rank-one terms, factored in float; one conjugate gradient; and
// all of one iteration, most of which share a factor.
inline double interior_factor(Index n_samples, Index n_blocks, Index block_size) {
  const double n = static_cast<double>(n_samples), m = static_cast<double>(n_blocks);
  const double dense = n * n * (n / 6.0 + 0.5 * m + 0.5 * static_cast<double>(block_size));
  return dense / kDenseRate + 0.5 * n * n * m / kTableRate;
}
inline double lagged_factor(Index n_samples, Index n_blocks, Index block_size) {
  const double n = static_cast<double>(n_samples), m = static_cast<double>(n_blocks);
  const double dense = n * n * (n / 12.0 + 0.5 * static_cast<double>(block_size));
  return dense / kDenseRate + 0.5 * n * n * m / kTableRate;
}
inline double interior_gradient(Index n_samples, Index n_blocks, Index block_size) {
  const double n = static_cast<double>(n_samples), m = static_cast<double>(n_blocks);
  return streamed(0.5 * n * n + 2.0 * n * m) + products(n_samples, 4 * n_blocks * block_size);
}
inline double interior_iteration(Index n_samples, Index n_blocks, Index block_size) {
  constexpr double kFactors = 0.3, kGradients = 16.0;
  const double n = static_cast<double>(n_samples), m = static_cast<double>(n_blocks);
  const double rank_one = n * m * (0.25 * n + 0.5 * m + static_cast<double>(block_size));
  const double lagged = kFactors * lagged_factor(n_samples, n_blocks, block_size) +
                        kGradients * interior_gradient(n_samples, n_blocks, block_size) +
                        rank_one / kDenseRate;
  return std::min(interior_factor(n_samples, n_blocks, block_size), lagged) +
         products(n_samples, 8 * n_blocks * block_size);
}

}  // namespace cvxnn::cost
