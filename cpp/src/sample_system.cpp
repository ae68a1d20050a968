#include "cvxnn/sample_system.hpp"

#include <algorithm>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kRowStrip = 256;     // samples of one task
constexpr Index kColumnStrip = 64;   // right-hand sides of one task
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

bool SampleSystem::factor(const std::vector<Index>& blocks, ConstVectorRef scales, const double* v,
                          double sign, const Vector& root, Control& control) {
  const Index n = op_.n_samples();
  system_.resize(n, n);
  op_.sample_gram(blocks, scales, control, system_);
  Matrix images;
  for (std::size_t first = 0; first < blocks.size(); first += kPanel) {
    const std::size_t last = std::min(blocks.size(), first + kPanel);
    const std::vector<Index> some(blocks.begin() + first, blocks.begin() + last);
    block_images(op_, some, v, n_threads_, images);
    add_lower_product(sign, images, n_threads_, system_);
    for (const Index b : some) v += op_.block_size(b);
    control.poll();
  }
  for (Index i = 0; i < n; ++i) {
    auto column = system_.col(i).tail(n - i);
    column.array() *= root[i] * root.tail(n - i).array();
    column[0] += 1.0;
  }
  return factor_in_place(system_, n_threads_, control);
}

template <class Solve>
void SampleSystem::for_strips(MatrixRef B, Solve solve) const {
  const double work = static_cast<double>(system_.size()) * static_cast<double>(B.cols());
  parallel_for((B.cols() + kColumnStrip - 1) / kColumnStrip, worthwhile_threads(work, n_threads_),
               [&](Index strip, int) {
                 const Index first = strip * kColumnStrip;
                 solve(B.middleCols(first, std::min(kColumnStrip, B.cols() - first)));
               });
}

void SampleSystem::solve_lower(MatrixRef B) const {
  for_strips(B, [&](auto strip) { system_.triangularView<Eigen::Lower>().solveInPlace(strip); });
}

void SampleSystem::solve_upper(MatrixRef B) const {
  for_strips(B, [&](auto strip) {
    system_.triangularView<Eigen::Lower>().transpose().solveInPlace(strip);
  });
}

}  // namespace cvxnn
