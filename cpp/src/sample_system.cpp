#include "cvxnn/sample_system.hpp"

#include <algorithm>
#include <type_traits>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kRowStrip = 256;     // samples of one task
constexpr Index kColumnStrip = 128;  // right-hand sides of one task
constexpr std::size_t kPanel = 256;  // of the A_j v_j at a time
}  // namespace

void block_images(const Operator& op, const std::vector<Index>& blocks, const double* coefs,
                  int n_threads, Matrix& out) {
  out.resize(op.n_samples(), static_cast<Index>(blocks.size()));
  double work = 0.0;
  for (const Index b : blocks) work += static_cast<double>(op.n_samples() * op.block_size(b));
  n_threads = worthwhile_threads(work, n_threads);
  parallel_for((out.rows() + kRowStrip - 1) / kRowStrip, n_threads, [&](Index strip, int) {
    const Index row = strip * kRowStrip;
    op.images(blocks, coefs, row, out.middleRows(row, std::min(kRowStrip, out.rows() - row)));
  });
}

template <class M>
void SampleSystem<M>::form(const std::vector<Index>& blocks, ConstVectorRef scales, const double* v,
                           double sign, const Vector& root, Control& control, Matrix& S) const {
  const Index n = op_.n_samples();
  S.resize(n, n);
  op_.sample_gram(blocks, scales, control, S);
  Matrix images;
  for (std::size_t first = 0; v != nullptr && first < blocks.size(); first += kPanel) {
    const std::size_t last = std::min(blocks.size(), first + kPanel);
    const std::vector<Index> some(blocks.begin() + first, blocks.begin() + last);
    block_images(op_, some, v, n_threads_, images);
    add_lower_product(sign, images, n_threads_, S);
    for (const Index b : some) v += op_.block_size(b);
    control.poll();
  }
  for (Index i = 0; i < n; ++i) {
    auto column = S.col(i).tail(n - i);
    column.array() *= root[i] * root.tail(n - i).array();
    column[0] += 1.0;
  }
}

template <class M>
bool SampleSystem<M>::factor(const std::vector<Index>& blocks, ConstVectorRef scales,
                             const double* v, double sign, const Vector& root, Control& control) {
  if constexpr (std::is_same_v<M, Matrix>) {
    form(blocks, scales, v, sign, root, control, system_);
  } else {
    Matrix S;
    form(blocks, scales, v, sign, root, control, S);
    system_ = S.cast<typename M::Scalar>();
  }
  return factor_in_place(system_, n_threads_, control);
}

template <class M>
template <class Solve>
void SampleSystem<M>::for_strips(Eigen::Ref<M> B, Solve solve) const {
  const double work = static_cast<double>(system_.size()) * static_cast<double>(B.cols());
  parallel_for((B.cols() + kColumnStrip - 1) / kColumnStrip, worthwhile_threads(work, n_threads_),
               [&](Index strip, int) {
                 const Index first = strip * kColumnStrip;
                 solve(B.middleCols(first, std::min(kColumnStrip, B.cols() - first)));
               });
}

template <class M>
void SampleSystem<M>::solve_lower(Eigen::Ref<M> B) const {
  const auto L = system_.template triangularView<Eigen::Lower>();
  // A matrix of one column is not a vector to Eigen, nor as fast.
  if (B.cols() == 1) {
    L.solveInPlace(B.col(0));
    return;
  }
  for_strips(B, [&](auto strip) { L.solveInPlace(strip); });
}

template <class M>
void SampleSystem<M>::solve_upper(Eigen::Ref<M> B) const {
  const auto U = system_.template triangularView<Eigen::Lower>().transpose();
  if (B.cols() == 1) {
    U.solveInPlace(B.col(0));
    return;
  }
  for_strips(B, [&](auto strip) { U.solveInPlace(strip); });
}

template class SampleSystem<Matrix>;
template class SampleSystem<MatrixF>;

}  // namespace cvxnn
