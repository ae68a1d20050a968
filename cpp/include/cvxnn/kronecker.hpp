// The Newton matrix of masked blocks taken for a Kronecker product, and inverted: a preconditioner.
#pragma once

#include <map>
#include <vector>

#include "cvxnn/feature_spectrum.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// Where a pattern says little about the features themselves, A_p^T diag(h) A_q is near
// overlap_pq G with G = X^T diag(h) X, so that the Newton matrix is near
//   M = K^(1/2) (I + C (x) G) K^(1/2) - sum_j kappa_j u_j u_j^T,  C = K^(-1/2) overlap K^(-1/2),
// K = diag(kappa + ridge). The smaller of C and G is diagonalised; then the larger one is inverted
// once for each cluster of eigenvalues, which a factor of four may separate: M^-1 loses little by
// that. The terms of rank one follow by Woodbury's formula. Of several outputs each has this form,
// with a multiple of G, and the terms of rank one join them. Applied in float.
class KroneckerInverse {
 public:
  // Larger sides than this cost more than they save.
  static constexpr Index kLargestSide = 2048;

  explicit KroneckerInverse(int n_threads) : n_threads_(n_threads) {}

  // The features have changed.
  void clear();

  // scales: of G, one an output. overlap: n_blocks x n_blocks, consumed. units: a block's outputs
  // side by side, n_features x (n_outputs n_blocks); of each block, of norm one.
  void set(FeatureSpectrum& features, ConstVectorRef scales, Matrix overlap, ConstVectorRef kappa,
           ConstVectorRef ridge, ConstMatrixRef units);

  // Overwrites V by M^-1 V; laid out as units.
  void apply(MatrixRef V);

  // Multiply-adds of the last set(), and of apply(), about.
  double set_work() const { return set_work_; }
  static double work(Index n_features, Index n_blocks, Index n_outputs) {
    return 2.0 * static_cast<double>(n_features * n_blocks * n_outputs) *
           static_cast<double>(n_features + n_blocks);
  }

 private:
  struct Cluster {
    Index first, count;      // of the eigenvectors of the smaller side
    const MatrixF* inverse;  // of I + representative x the larger side; null for I
  };
  struct Output {
    std::vector<Cluster> clusters;
    MatrixF units;  // rotated into the eigenvectors if those are of G
    MatrixF scaled, rotated, image;
  };

  void make_clusters(ConstVectorRef values, double largest_other, const Matrix& other,
                     std::map<int, MatrixF>& inverses, std::vector<Cluster>& clusters);
  void cluster_outputs(FeatureSpectrum& features, ConstVectorRef scales, const Matrix& overlap);
  void set_units(ConstMatrixRef units);
  void set_correction(ConstVectorRef slack);
  void apply_clusters(const std::vector<Cluster>& clusters, const MatrixF& in, MatrixF& out) const;
  void invert(Output& output);
  void finish(Output& output);

  int n_threads_;
  bool by_features_ = false;  // G is the smaller side
  MatrixF gram_vectors_, overlap_vectors_;
  std::map<int, MatrixF> gram_inverses_, overlap_inverses_;  // by the exponent of the cluster
  std::vector<Output> outputs_;
  Vector inverse_root_;  // K^(-1/2)
  Matrix correction_;    // Cholesky factor, n_blocks x n_blocks
  Vector along_;
  double set_work_ = 0.0;
};

}  // namespace cvxnn
