#include "cvxnn/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr Index kBlocksPerTask = 64;
constexpr Index kTasksPerPoll = 16;

constexpr double kRounding = 8.0 * std::numeric_limits<double>::epsilon();

// Bounds what rounding does to <F, Theta>, and what is left of <A_0 W_0, Theta> = 0: all of the
// gap that matters where a fit is exact to rounding.
double inner_product_error(ConstMatrixRef F, ConstMatrixRef unpenalised, ConstMatrixRef Theta) {
  return kRounding * F.cwiseProduct(Theta).cwiseAbs().sum() +
         std::abs(unpenalised.cwiseProduct(Theta).sum());
}

// Threads for the gradients of all blocks.
int gradient_threads(const Operator& op, Index n_outputs, int n_threads) {
  const double size = static_cast<double>(op.n_blocks() * op.block_size(0) * n_outputs);
  return worthwhile_threads(static_cast<double>(op.n_samples()) * size, n_threads);
}

}  // namespace

DualNorm reference_dual_norm(const Operator& op, ConstVectorRef weights, ConstMatrixRef Theta,
                             int n_threads, Control& control, double alpha, double enough,
                             std::vector<LastProjection>* projections) {
  const Index n_blocks = op.n_blocks();
  const Index n_tasks = (n_blocks + kBlocksPerTask - 1) / kBlocksPerTask;
  const double level =
      op.has_ridge() ? op.penalty(alpha).level : std::numeric_limits<double>::infinity();
  std::vector<DualNorm> largest(n_tasks);
  n_threads = gradient_threads(op, Theta.cols(), n_threads);
  for (Index wave = 0; wave < n_tasks; wave += kTasksPerPoll) {
    parallel_for(std::min(kTasksPerPoll, n_tasks - wave), n_threads, [&](Index t, int) {
      const Index task = wave + t, first = task * kBlocksPerTask;
      const Index count = std::min(kBlocksPerTask, n_blocks - first);
      Index size = 0;
      for (Index b = first; b < first + count; ++b) size += op.block_size(b);
      Vector gradients(size * Theta.cols());
      op.reference_gradients(first, count, Theta, gradients.data());
      Index start = 0;
      for (Index b = first; b < first + count; ++b) {
        const Index length = op.block_size(b) * Theta.cols();
        auto gradient = gradients.segment(start, length);
        start += length;
        if (!(weights[b] > 0.0)) continue;
        DualNorm& so_far = largest[task];
        LastProjection* last = projections != nullptr ? &(*projections)[b] : nullptr;
        // What is no larger without its cone need not be projected.
        const double bounded = std::min(std::max(so_far.value, enough), level);
        double norm = last != nullptr ? last->bound(gradient) : gradient.norm();
        if (norm / weights[b] > bounded) {
          const MatrixMap G(gradient.data(), op.block_size(b), Theta.cols());
          norm = op.restrict(b, G, bounded * weights[b], last);
          if (op.has_ridge()) so_far.conjugates += op.penalty(alpha * weights[b]).conjugate(norm);
        }
        if (norm / weights[b] <= so_far.value) continue;
        so_far.value = norm / weights[b];
        so_far.block = b;
      }
    });
    control.poll_signals();
  }
  DualNorm all = *std::max_element(largest.begin(), largest.end(),
                                   [](const auto& a, const auto& b) { return a.value < b.value; });
  all.conjugates = 0.0;
  for (const DualNorm& part : largest) all.conjugates += part.conjugates;
  return all;
}

TightBlocks tight_blocks(const Operator& op, ConstMatrixRef Theta, double least, int n_threads,
                         Control& control) {
  const Index n_blocks = op.n_blocks(), d = op.block_size(0);
  const Index n_tasks = (n_blocks + kBlocksPerTask - 1) / kBlocksPerTask;
  std::vector<TightBlocks> found(n_tasks);
  parallel_for(n_tasks, gradient_threads(op, Theta.cols(), n_threads), [&](Index task, int) {
    const Index first = task * kBlocksPerTask, count = std::min(kBlocksPerTask, n_blocks - first);
    Matrix gradients(d, count);
    op.reference_gradients(first, count, Theta, gradients.data());
    TightBlocks& part = found[task];
    for (Index j = 0; j < count; ++j) {
      if (gradients.col(j).norm() < least) continue;
      if (op.restrict(first + j, gradients.col(j)) < least) continue;
      gradients.col(static_cast<Index>(part.blocks.size())) = gradients.col(j);
      part.blocks.push_back(first + j);
    }
    part.gradients = gradients.leftCols(static_cast<Index>(part.blocks.size()));
  });
  control.poll_signals();
  TightBlocks all;
  for (const TightBlocks& part : found) {
    const Index before = all.gradients.cols(), more = part.gradients.cols();
    all.blocks.insert(all.blocks.end(), part.blocks.begin(), part.blocks.end());
    all.gradients.conservativeResize(d, before + more);
    all.gradients.rightCols(more) = part.gradients;
  }
  return all;
}

void into_domain(const Loss& loss, const Unpenalised& free, Matrix& Theta) {
  loss.clip(Theta);
  if (free.orthogonal(Theta)) return;
  free.project_relative(Theta);
  loss.clip(Theta);
}

double lower_bound(const Loss& loss, const Unpenalised& free, const Matrix& Theta, double limit) {
  const double value = loss.dual_value(loss.best_scale(Theta, limit) * Theta);
  return std::isfinite(value) && free.orthogonal(Theta) ? std::max(0.0, value) : 0.0;
}

Certificate certify(const Operator& op, const Loss& loss, ConstVectorRef weights, double alpha,
                    const std::vector<Index>& blocks, const Vector& coefs, const Unpenalised& free,
                    Matrix Theta, int n_threads, Control& control,
                    std::vector<LastProjection>* projections) {
  Matrix penalised(op.n_samples(), loss.n_outputs());
  op.reference_forward(blocks, coefs.data(), penalised);
  Matrix unpenalised = Matrix::Zero(op.n_samples(), loss.n_outputs());
  if (free.size() > 0) unpenalised = free.columns() * free.coefs();
  const Matrix F = penalised + unpenalised;
  double penalty = 0.0;
  Index start = 0;
  for (const Index b : blocks) {
    const Index length = op.block_size(b) * loss.n_outputs();
    const ConstMatrixMap W(coefs.data() + start, op.block_size(b), loss.n_outputs());
    penalty += op.penalty(alpha * weights[b]).value(W);
    start += length;
  }

  Certificate result;
  result.primal = loss.value(F) + penalty;

  free.project(Theta);
  into_domain(loss, free, Theta);
  if (op.has_ridge()) Theta *= loss.best_scale(Theta, 1.0);  // into the domain
  const double level = op.penalty(alpha).level;
  const DualNorm norm = reference_dual_norm(op, weights, Theta, n_threads, control, alpha,
                                            kTight * level, projections);
  const double limit =
      norm.value > 0.0 ? level / norm.value : std::numeric_limits<double>::infinity();
  // d(Theta) = L(F) - <F, Theta> - (Fenchel gap): for F in the model's range <F, Theta> is a sum
  // over blocks, so the gap is a sum of non-negative terms and keeps its relative accuracy as it
  // closes. Where it is nearly the objective, what is left for the bound is rounding alone.
  const auto gap_at = [&](const Matrix& point) {
    const double exact = loss.fenchel_gap(F, point) + penalty - penalised.cwiseProduct(point).sum();
    return exact * (1.0 + kRounding) + inner_product_error(F, unpenalised, point);
  };
  Matrix scaled = loss.best_scale(Theta, limit) * Theta;
  double gap = gap_at(scaled);
  // With a ridge every point is feasible, at the cost of conjugates.
  const double unscaled = op.has_ridge() ? gap_at(Theta) + norm.conjugates : gap;
  if (unscaled < gap) {
    gap = unscaled;
    scaled.swap(Theta);
  }
  Theta.swap(scaled);
  if (!std::isfinite(gap) || !free.orthogonal(Theta)) gap = result.primal;
  result.gap = std::clamp(gap, 0.0, result.primal);
  result.dual = result.primal - result.gap;
  result.Theta = std::move(Theta);
  return result;
}

}  // namespace cvxnn
