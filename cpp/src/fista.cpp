#include "cvxnn/fista.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr double kShrink = 0.97;  // of L, each iteration: it follows the local curvature
constexpr double kLeast =
    1e-4;  // of the highest L so far: where steps have none, L is not to vanish
constexpr double kFitNoise = 16.0;  // units of rounding in a fit
constexpr Index kConeGap = 10;      // iterations between gaps over cones, which take projections
constexpr Index kWindow = 30;       // iterations in which the gap
constexpr double kProgress = 0.5;   // falls to this share, or converges slowly
}  // namespace

void Fista::start(const WorkingSet& working, const Unpenalised& free, const QuadraticModel& model) {
  gradients_.resize(working.coefs.size());
  next_.resize(working.coefs.size());
  fit_.resize(model.F.rows(), model.F.cols());
  residual_.resize(model.F.rows(), model.F.cols());
  point_ = working.coefs;
  point_fit_ = model.F;
  point_residual_ = model.R;
  point_free_ = free.coefs();
  momentum_ = 1.0;
  reached_ = false;
}

// Fit and residual at next_, the unpenalised block at its minimiser.
void Fista::evaluate(const WorkingSet& working, Unpenalised& free, const QuadraticModel& model,
                     Precision precision) {
  op_.forward(working.blocks, next_.data(), precision, fit_);
  if (free.size() > 0) {
    free.coefs() = point_free_;
    fit_.noalias() += free.columns() * free.coefs();
  }
  for (Index k = 0; k < fit_.cols(); ++k) {
    residual_.col(k).array() =
        model.Theta0.col(k).array() - model.h.array() * (fit_.col(k) - model.F0.col(k)).array();
  }
  free.fit(fit_, residual_);
}

// next_ <- prox(next_).
void Fista::shrink(const WorkingSet& working) {
  const int n_threads = op_.cones() != nullptr ? n_threads_ : 1;
  parallel_for(working.size(), n_threads, [&](Index j, int) {
    MatrixMap W = working.block(next_, j);
    const BlockPenalty& penalty = working.penalties[j];
    if (op_.cones() != nullptr && W.norm() > penalty.level / curvature_) {
      op_.restrict(working.blocks[j], W);
    }
    penalty.shrink(curvature_, W);
  });
}

// next_ = prox(point + A^T R / L), with L doubled until it bounds the curvature along the step.
void Fista::step(const WorkingSet& working, Unpenalised& free, const QuadraticModel& model,
                 Precision precision) {
  constexpr double kRounding = 1.0 + 1e-6;
  // Of a step that is lost in the rounding of fits, their difference is no curvature: believed, it
  // would leave steps too short for good.
  const double unit = op_.float_products() && precision == Precision::standard
                          ? std::numeric_limits<float>::epsilon()
                          : std::numeric_limits<double>::epsilon();
  const double noise =
      kFitNoise * unit * kFitNoise * unit * (model.h.asDiagonal() * point_fit_.cwiseAbs2()).sum();
  curvature_ = std::max(kShrink * curvature_, kLeast * highest_);
  for (;;) {
    next_ = point_ + gradients_ / curvature_;
    shrink(working);
    evaluate(working, free, model, precision);
    const double moved = (next_ - point_).squaredNorm();
    const double curved = (model.h.asDiagonal() * (fit_ - point_fit_).cwiseAbs2()).sum();
    if (!(curved > curvature_ * moved * kRounding + noise) || moved == 0.0) return;
    curvature_ = std::max(2.0 * curvature_, 1.01 * curved / moved);
    highest_ = std::max(highest_, curvature_);
  }
}

// The next iterate becomes the current one, and the next point is beyond it.
void Fista::advance(WorkingSet& working, const Unpenalised& free, QuadraticModel& model) {
  if ((point_ - next_).dot(next_ - working.coefs) > 0.0) momentum_ = 1.0;
  const double following = 0.5 * (1.0 + std::sqrt(1.0 + 4.0 * momentum_ * momentum_));
  const double beta = (momentum_ - 1.0) / following;
  momentum_ = following;
  point_ = next_ + beta * (next_ - working.coefs);
  point_fit_ = fit_ + beta * (fit_ - model.F);
  point_residual_ = residual_ + beta * (residual_ - model.R);
  point_free_ = free.coefs() + beta * (free.coefs() - free_before_);
  working.coefs = next_;
  model.F = fit_;
  model.R = residual_;
}

Index Fista::minimise(WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                      Precision precision, double target_gap, Index max_iterations, bool may_yield,
                      Control& control) {
  free.fit(model.F, model.R);
  start(working, free, model);
  double gap = 0.0, gap_before = 0.0;
  for (Index n = 0; n < max_iterations; ++n) {
    op_.gradients(working.blocks, point_residual_, precision, control, gradients_.data());
    if (op_.cones() == nullptr || n % kConeGap == 0)
      gap = model_gap(op_, working, point_, gradients_, point_residual_, model.h);
    reached_ = n > 0 && gap <= target_gap;
    if (reached_) return n;
    if (n % kWindow == 0) {
      if (may_yield && n > 0 && gap > kProgress * gap_before) return n;
      gap_before = gap;
    }
    if (curvature_ == 0.0) {  // that along the gradient, a lower bound
      op_.forward(working.blocks, gradients_.data(), precision, fit_);
      const double curved = (model.h.asDiagonal() * fit_.cwiseAbs2()).sum();
      if (!(curved > 0.0)) return n;
      curvature_ = highest_ = curved / gradients_.squaredNorm();
    }
    free_before_ = free.coefs();
    step(working, free, model, precision);
    advance(working, free, model);
  }
  return max_iterations;
}

}  // namespace cvxnn
