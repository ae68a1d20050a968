// The matrix over samples that a second-order method leaves when it eliminates the blocks.
#pragma once

#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// I + h^(1/2) N h^(1/2) with N = sum_j scales_j A_j A_j^T + sign sum_j (A_j v_j) (A_j v_j)^T over
// some blocks, factored in place. N has Hadamard structure over masked blocks
// (Operator::sample_gram). factor() allocates panels of the matrix; the factorisation dwarfs that.
class SampleSystem {
 public:
  static constexpr Index kMaxSamples = 8192;  // half a gigabyte

  SampleSystem(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // v: the v_j one after the other. root: h^(1/2). False where rounding spoils the factorisation.
  bool factor(const std::vector<Index>& blocks, ConstVectorRef scales, const double* v, double sign,
              const Vector& root, Control& control);

  // After factor(), with L L^T the matrix: B <- L^-1 B and B <- L^-T B.
  void solve_lower(MatrixRef B) const;
  void solve_upper(MatrixRef B) const;

 private:
  template <class Solve>
  void for_strips(MatrixRef B, Solve solve) const;

  const Operator& op_;
  int n_threads_;
  Matrix system_;
};

// Column j of out becomes A_{blocks[j]} coefs_j, on threads.
void block_images(const Operator& op, const std::vector<Index>& blocks, const double* coefs,
                  int n_threads, Matrix& out);

}  // namespace cvxnn
