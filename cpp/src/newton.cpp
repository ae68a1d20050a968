#include "cvxnn/newton.hpp"

#include <algorithm>
#include <cmath>

namespace cvxnn {
namespace {
// A direction need not be exact far from the solution, and near it few iterations reach it.
constexpr double kTolerance = 0.2;
constexpr Index kMaxIterations = 100;
constexpr double kLongestStep = 2.0;
constexpr double kShortStep = 0.5;  // one that kinks have cut short
constexpr double kGraze = 0.25;     // of the distance to zero, squared, that is left on passing it
constexpr int kZeroings = 8;
constexpr int kHalvings = 30;
constexpr double kSufficient = 1e-4;   // of the model's decrease
constexpr double kResolution = 1e-15;  // of the loss

// w += t y; what is left of w is zero where it is rounding, or a kink met.
void move(double t, ConstVectorRef y, VectorRef w) {
  constexpr double kNothing = 1e-7;
  const double before = w.norm();
  w += t * y;
  if (w.norm() < kNothing * before) w.setZero();
}

}  // namespace

void NewtonMethod::reserve(const WorkingSet& working, Index n_samples) {
  system_.reserve(working);
  for (Vector* v : {&right_hand_side_, &direction_, &kept_, &change_, &step_, &best_}) {
    v->resize(working.coefs.size());
  }
  for (Matrix* m : {&fit_, &zeroed_fit_, &best_fit_, &trial_}) {
    m->resize(n_samples, working.n_outputs);
  }
  line_.reserve(working.size(), n_samples, working.n_outputs);
  blocks_.reserve(working.size());
  crossing_.reserve(working.size());
}

// set_fit(fit) tells line_ what the loss does along a fit.
template <class SetFit>
void NewtonMethod::measure(const WorkingSet& working, const Vector& W, const Vector& step,
                           const Matrix& fit, const SetFit& set_fit) {
  line_.clear();
  for (Index j = 0; j < working.size(); ++j) {
    const auto w = working.entries(W, j);
    if (!w.isZero(0.0)) line_.add(working.penalties[j], w, working.entries(step, j));
  }
  set_fit(fit);
}

// Finds the blocks that direction_ carries across zero, or near it; step_ takes them to zero
// instead, and fit_ follows. False where there is none.
bool NewtonMethod::stop_at_zero(const WorkingSet& working, Precision precision) {
  crossing_.clear();
  blocks_.clear();
  Index start = 0;
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    const Index j = system_.position(a);
    const auto w = working.entries(kept_, j);
    const auto y = system_.part(direction_, a);
    const double inner = -w.dot(y), square = w.squaredNorm(), length = y.squaredNorm();
    const bool crosses = inner > square;
    const bool grazes =
        inner > 0.0 && inner < length && square - inner * inner / length < kGraze * square;
    if (!crosses && !grazes) continue;
    crossing_.push_back(j);
    blocks_.push_back(working.blocks[j]);
    change_.segment(start, w.size()) = -(w + y);
    start += w.size();
    working.entries(step_, j) -= w + y;
  }
  if (blocks_.empty()) return false;
  op_.forward(blocks_, change_.data(), precision, trial_);
  fit_ += trial_;
  return true;
}

// Takes the crossing blocks out of kept_; zeroed_fit_ is the change of the fit.
void NewtonMethod::zero_crossing(const WorkingSet& working, Precision precision) {
  Index start = 0;
  for (const Index j : crossing_) {
    auto w = working.entries(kept_, j);
    change_.segment(start, w.size()) = -w;
    start += w.size();
    w.setZero();
  }
  op_.forward(blocks_, change_.data(), precision, trial_);
  zeroed_fit_ += trial_;
}

// step_: direction_, and to zero where kept_ is zero.
void NewtonMethod::join(const WorkingSet& working, const Vector& W) {
  step_ = kept_ - W;
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    working.entries(step_, system_.position(a)) += system_.part(direction_, a);
  }
}

// The length of a step along best_ and best_fit_. Blocks that are zero at the solution, where
// Newton's direction carries them across, hold up the steps of all others. They go to zero; where
// that is not enough, the direction of the others is solved for again, as active-set methods do.
// solve() fills direction_ and fit_ at kept_.
template <class Solve, class SetFit>
double NewtonMethod::choose(const WorkingSet& working, const Vector& W, Precision precision,
                            const Solve& solve, const SetFit& set_fit) {
  double best_t = 0.0, lowest = 0.0;
  bool measured = false;
  const auto long_enough = [&] {
    measure(working, W, step_, fit_, set_fit);
    const double t = line_.length(kLongestStep);
    const double change = t > 0.0 ? line_.change(t) : 0.0;
    measured = change < lowest;
    if (measured) {
      best_t = t;
      lowest = change;
      best_ = step_;
      best_fit_ = fit_;
      best_free_ = free_step_;
    }
    return t >= kShortStep;
  };
  kept_ = W;
  zeroed_fit_.setZero();
  for (int k = 0;; ++k) {
    solve();
    fit_ += zeroed_fit_;
    join(working, W);
    if (long_enough() || !stop_at_zero(working, precision) || long_enough() || k >= kZeroings) {
      break;
    }
    zero_crossing(working, precision);
  }
  if (!measured && best_t > 0.0) measure(working, W, best_, best_fit_, set_fit);
  return best_t;
}

// right_hand_side_, less the gradient of the penalty.
void NewtonMethod::subtract_penalties(const WorkingSet& working) {
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    const Index j = system_.position(a);
    const BlockPenalty& penalty = working.penalties[j];
    system_.part(right_hand_side_, a) -=
        penalty.level * system_.unit(a) + penalty.ridge * working.entries(kept_, j);
  }
}

void NewtonMethod::move_blocks(double t, const WorkingSet& working, Vector& W) {
  for (Index j = 0; j < working.size(); ++j) {
    auto w = working.entries(W, j);
    if (!w.isZero(0.0)) move(t, working.entries(best_, j), w);
  }
}

void NewtonMethod::finish(double t, Unpenalised& free, QuadraticModel& model) {
  model.F += t * best_fit_;
  model.R.noalias() -= t * (model.h.asDiagonal() * best_fit_);
  free.fit(model.F, model.R);
}

double NewtonMethod::step(const WorkingSet& working, Vector& W, Unpenalised& free,
                          QuadraticModel& model, Precision precision, Control& control) {
  if (W.isZero(0.0)) return 1.0;
  const auto solve = [&] {
    system_.set(working, kept_, model.h);
    trial_ = zeroed_fit_;
    system_.curve(free, trial_);
    trial_ = model.R - trial_;
    system_.gradient(trial_, precision, control, right_hand_side_);
    subtract_penalties(working);
    system_.solve(right_hand_side_, kTolerance, kMaxIterations, free, precision, control,
                  direction_, fit_);
  };
  const double t = choose(working, W, precision, solve,
                          [&](const Matrix& fit) { line_.set_fit(fit, model, free); });
  if (t == 0.0) return 0.0;
  move_blocks(t, working, W);
  finish(t, free, model);
  return t;
}

// From t until the objective falls by a share of what its model says; zero where that fails.
double NewtonMethod::backtrack(const Loss& loss, double t, const Matrix& F) {
  const double before = loss.value(F);
  for (int k = 0; k < kHalvings; ++k, t *= 0.5) {
    trial_ = F + t * best_fit_;
    const double model = line_.change(t);
    const double change = loss.value(trial_) - before + line_.penalty_change(t);
    if (change <= kSufficient * model + kResolution * before) return t;
  }
  return 0.0;
}

// Where no block is active.
double NewtonMethod::free_loss_step(const Loss& loss, Unpenalised& free, Matrix& F) {
  profiled_.solve(residual_, best_free_);
  best_fit_ = free.columns() * best_free_;
  trial_ = best_fit_;
  hessian_.apply(trial_);
  line_.clear();
  line_.set_fit(-residual_.cwiseProduct(best_fit_).sum(), trial_.cwiseProduct(best_fit_).sum());
  const double t = backtrack(loss, 1.0, F);
  F += t * best_fit_;
  free.coefs() += t * best_free_;
  return t;
}

double NewtonMethod::loss_step(const Loss& loss, const WorkingSet& working, Vector& W,
                               Unpenalised& free, ConstVectorRef h, Precision precision,
                               Control& control, Matrix& F) {
  const bool none_active = W.isZero(0.0);
  if (none_active && free.size() == 0) return 0.0;
  loss.hessian(F, hessian_);
  if (!profiled_.set(hessian_, free)) return 0.0;
  residual_.resize(F.rows(), F.cols());
  loss.dual_point(F, residual_);
  if (none_active) return free_loss_step(loss, free, F);
  const auto curve = [&](const Matrix& fit) -> const Matrix& {
    trial_ = fit;
    hessian_.apply(trial_);
    return trial_;
  };
  const auto solve = [&] {
    system_.set(working, kept_, h, &profiled_);
    moved_ = residual_ - curve(zeroed_fit_);
    if (free.size() > 0) {
      profiled_.solve(moved_, free_step_);
      moved_ -= curve(free.columns() * free_step_);
    }
    system_.gradient(moved_, precision, control, right_hand_side_);
    subtract_penalties(working);
    system_.solve(right_hand_side_, kTolerance, kMaxIterations, free, precision, control,
                  direction_, fit_);
    if (free.size() > 0) {
      profiled_.solve(curve(fit_), free_follows_);
      free_step_ -= free_follows_;
      fit_ += free.columns() * free_step_;
    }
  };
  double t = choose(working, W, precision, solve, [&](const Matrix& fit) {
    line_.set_fit(-residual_.cwiseProduct(fit).sum(), curve(fit).cwiseProduct(fit).sum());
  });
  if (t > 0.0) t = backtrack(loss, t, F);
  if (t == 0.0) return 0.0;
  move_blocks(t, working, W);
  F += t * best_fit_;
  if (free.size() > 0) free.coefs() += t * best_free_;
  return t;
}

}  // namespace cvxnn
