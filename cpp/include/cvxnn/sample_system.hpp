// The matrix over samples that a second-order method leaves when it eliminates the blocks.
#pragma once

#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/operators/operator.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

constexpr Index kMaxSystemSamples = 8192;  // half a gigabyte

// I + h^(1/2) N h^(1/2) with N = sum_j scales_j A_j A_j^T + sign sum_j (A_j v_j) (A_j v_j)^T over
// some blocks, factored in place. N has Hadamard structure over masked blocks
// (Operator::sample_gram). M: Matrix, or MatrixF where the factor is to precondition: formed in
// double, factored in float. factor() allocates; the factorisation dwarfs that.
template <class M>
class SampleSystem {
 public:
  SampleSystem(const Operator& op, int n_threads) : op_(op), n_threads_(n_threads) {}

  // v: the v_j one after the other; null where there are none. root: h^(1/2). False where rounding
  // spoils the factorisation.
  bool factor(const std::vector<Index>& blocks, ConstVectorRef scales, const double* v, double sign,
              const Vector& root, Control& control);

  // After factor(), with L L^T the matrix: B <- L^-1 B and B <- L^-T B.
  void solve_lower(Eigen::Ref<M> B) const;
  void solve_upper(Eigen::Ref<M> B) const;

 private:
  void form(const std::vector<Index>& blocks, ConstVectorRef scales, const double* v, double sign,
            const Vector& root, Control& control, Matrix& S) const;
  template <class Solve>
  void for_strips(Eigen::Ref<M> B, Solve solve) const;

  const Operator& op_;
  int n_threads_;
  M system_;
};

// Column j of out becomes A_{blocks[j]} coefs_j, on threads.
void block_images(const Operator& op, const std::vector<Index>& blocks, const double* coefs,
                  int n_threads, Matrix& out);

}  // namespace cvxnn
