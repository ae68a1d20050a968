#include "cvxnn/dual_correction.hpp"

#include <algorithm>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/cost_model.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kRows = 4096;      // of the images at a time
constexpr Index kRowStrip = 256;   // of one task
constexpr double kRidge = 1e-12;   // of the mean diagonal: patterns may be equal
constexpr double kProducts = 100;  // with the blocks and back: what a correction may cost
}  // namespace

bool DualCorrection::pays(Index n_blocks, Index n_coefs, Index n_outputs) const {
  const double n = static_cast<double>(op_.n_samples() * n_outputs);
  const double m = static_cast<double>(n_blocks);
  const double seconds = m * m * (0.5 * n + m / 6.0) / cost::kDenseRate;
  return n_blocks > 0 && seconds <= kProducts * cost::products(op_.n_samples(), 2 * n_coefs);
}

void DualCorrection::set_units(const std::vector<Index>& blocks, ConstVectorRef limits,
                               const Matrix& Theta, Control& control) {
  starts_.assign(1, 0);
  for (const Index b : blocks) {
    starts_.push_back(starts_.back() + op_.block_size(b) * Theta.cols());
  }
  units_.resize(starts_.back());
  op_.gradients(blocks, Theta, Precision::accurate, control, units_.data());
  slack_ = limits;
  for (std::size_t j = 0; j < blocks.size(); ++j) {
    auto unit = units_.segment(starts_[j], starts_[j + 1] - starts_[j]);
    const double norm = unit.norm();
    slack_[static_cast<Index>(j)] -= norm;
    if (norm > 0.0) unit /= norm;
  }
}

// gram_ += K^T h K of one output, in strips of samples: K is as large as the data.
void DualCorrection::add_gram(const std::vector<Index>& blocks, Index output, const Matrix& basis,
                              Control& control) {
  const Index n = op_.n_samples(), m = static_cast<Index>(blocks.size());
  Index size = 0;
  column_.resize(units_.size());
  for (std::size_t j = 0; j < blocks.size(); ++j) {
    const Index rows = op_.block_size(blocks[j]);
    column_.segment(size, rows) = units_.segment(starts_[j] + output * rows, rows);
    size += rows;
  }
  overlap_.setZero(basis.cols(), m);
  for (Index first = 0; first < n; first += kRows) {
    const Index count = std::min(kRows, n - first);
    images_.resize(count, m);
    const double work = static_cast<double>(count * size);
    parallel_for((count + kRowStrip - 1) / kRowStrip, worthwhile_threads(work, n_threads_),
                 [&](Index strip, int) {
                   const Index row = strip * kRowStrip;
                   op_.images(blocks, column_.data(), first + row,
                              images_.middleRows(row, std::min(kRowStrip, count - row)));
                 });
    images_ = root_.segment(first, count).asDiagonal() * images_;
    add_lower_product(1.0, images_.transpose(), n_threads_, gram_);
    if (basis.cols() > 0) overlap_ += basis.middleRows(first, count).transpose() * images_;
    control.poll();
  }
  if (basis.cols() > 0) add_lower_product(-1.0, overlap_.transpose(), n_threads_, gram_);
}

void DualCorrection::apply(const std::vector<Index>& blocks, ConstVectorRef limits,
                           ConstVectorRef h, Unpenalised& free, Control& control, Matrix& Theta) {
  const Index m = static_cast<Index>(blocks.size());
  set_units(blocks, limits, Theta, control);
  root_ = h.cwiseSqrt();
  gram_.setZero(m, m);
  for (Index k = 0; k < Theta.cols(); ++k) add_gram(blocks, k, free.basis(), control);
  gram_.diagonal().array() += kRidge * gram_.trace() / static_cast<double>(m);
  if (!factor_in_place(gram_, n_threads_, control)) return;
  Matrix lambda = slack_;
  solve_factored(gram_, lambda);
  for (Index j = 0; j < m; ++j) {
    units_.segment(starts_[j], starts_[j + 1] - starts_[j]) *= lambda(j, 0);
  }
  images_.resize(Theta.rows(), Theta.cols());
  op_.forward(blocks, units_.data(), Precision::accurate, images_);
  images_ = root_.asDiagonal() * images_;
  free.project_weighted(images_);
  if (!images_.allFinite()) return;
  Theta += root_.asDiagonal() * images_;
}

}  // namespace cvxnn
