// The forward pass of a recovered network.
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// f(x) = V^T sigma(U^T x + b) + c + S^T x, with m hidden neurons and n_outputs outputs. With gates,
// sigma(h)_j = 1[g_j . x + g0_j > 0] h_j (gated ReLU); without, sigma(h)_j = max(h_j, 0).
// All views of memory that the caller keeps alive; row-major as numpy has them.
struct NetworkView {
  DataMap<double> hidden;                // U: n_features x m
  Eigen::Map<const Vector> hidden_bias;  // b: m
  DataMap<double> output;                // V: m x n_outputs
  Eigen::Map<const Vector> output_bias;  // c: n_outputs
  DataMap<double> gates;                 // n_features x m, or n_features x 0 for ReLU
  Eigen::Map<const Vector> gate_bias;    // m, or empty
  DataMap<double> skip;                  // S: n_features x n_outputs, or 0 x n_outputs
};

// Samples: DataMap or SparseRows. out: n_samples x n_outputs. A sample's result does not depend on
// its batch or on n_threads.
template <class Samples>
void predict(const NetworkView& network, const Samples& x, int n_threads,
             Eigen::Ref<DataMatrix<double>> out);

}  // namespace cvxnn
