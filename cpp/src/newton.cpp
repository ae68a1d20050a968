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
  for (Vector* v : {&right_hand_side_, &direction_, &shortened_, &excess_}) {
    v->resize(working.coefs.size());
  }
  for (Matrix* m : {&fit_, &shortened_fit_}) m->resize(n_samples, working.n_outputs);
  line_.reserve(working.size(), n_samples, working.n_outputs);
  blocks_.reserve(working.size());
}

// set_fit(fit) tells line_ what the loss does along a fit.
template <class SetFit>
void NewtonMethod::measure(const WorkingSet& working, const Vector& W, const Vector& direction,
                           const Matrix& fit, const SetFit& set_fit) {
  line_.clear();
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    const Index j = system_.position(a);
    line_.add(working.penalties[j], working.entries(W, j), system_.part(direction, a));
  }
  set_fit(fit);
}

// The direction with those blocks that it would carry across zero, or near it, going to zero: a
// single one of them, zero at the solution, can hold up the steps of all others. False where there
// is none.
bool NewtonMethod::shorten(const WorkingSet& working, const Vector& W, Precision precision) {
  blocks_.clear();
  shortened_.head(system_.size()) = direction_.head(system_.size());
  Index start = 0;
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    const Index j = system_.position(a);
    const auto w = working.entries(W, j);
    const auto y = system_.part(direction_, a);
    const double inner = -w.dot(y), square = w.squaredNorm(), length = y.squaredNorm();
    const bool crosses = inner > square;
    const bool grazes =
        inner > 0.0 && inner < length && square - inner * inner / length < kGraze * square;
    if (!crosses && !grazes) continue;
    blocks_.push_back(working.blocks[j]);
    excess_.segment(start, w.size()) = y + w;
    start += w.size();
    system_.part(shortened_, a) = -w;
  }
  if (blocks_.empty()) return false;
  op_.forward(blocks_, excess_.data(), precision, shortened_fit_);
  shortened_fit_ = fit_ - shortened_fit_;
  return true;
}

// The length of the step, along direction_ and fit_.
template <class SetFit>
double NewtonMethod::choose(const WorkingSet& working, const Vector& W, Precision precision,
                            const SetFit& set_fit) {
  measure(working, W, direction_, fit_, set_fit);
  double t = line_.length(kLongestStep);
  if (t >= kShortStep || !shorten(working, W, precision)) return t;
  const double lowered = t > 0.0 ? line_.change(t) : 0.0;
  measure(working, W, shortened_, shortened_fit_, set_fit);
  const double shortened_t = line_.length(kLongestStep);
  if (shortened_t > 0.0 && line_.change(shortened_t) < lowered) {
    direction_.swap(shortened_);
    fit_.swap(shortened_fit_);
    return shortened_t;
  }
  measure(working, W, direction_, fit_, set_fit);
  return t;
}

// right_hand_side_, less the gradient of the penalty.
void NewtonMethod::subtract_penalties(const WorkingSet& working, const Vector& W) {
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    const Index j = system_.position(a);
    const BlockPenalty& penalty = working.penalties[j];
    system_.part(right_hand_side_, a) -=
        penalty.level * system_.unit(a) + penalty.ridge * working.entries(W, j);
  }
}

void NewtonMethod::move_blocks(double t, const WorkingSet& working, Vector& W) {
  for (Index a = 0; a < system_.n_blocks(); ++a) {
    move(t, system_.part(direction_, a), working.entries(W, system_.position(a)));
  }
}

void NewtonMethod::finish(double t, Unpenalised& free, QuadraticModel& model) {
  model.F += t * fit_;
  model.R.noalias() -= t * (model.h.asDiagonal() * fit_);
  free.fit(model.F, model.R);
}

double NewtonMethod::step(const WorkingSet& working, Vector& W, Unpenalised& free,
                          QuadraticModel& model, Precision precision, Control& control) {
  system_.set(working, W, model.h);
  if (system_.n_blocks() == 0) return 1.0;
  system_.gradient(model.R, precision, control, right_hand_side_);
  subtract_penalties(working, W);
  system_.solve(right_hand_side_, kTolerance, kMaxIterations, free, precision, control, direction_,
                fit_);
  const double t =
      choose(working, W, precision, [&](const Matrix& fit) { line_.set_fit(fit, model, free); });
  if (t == 0.0) return 0.0;
  move_blocks(t, working, W);
  finish(t, free, model);
  return t;
}

// From t until the objective falls by a share of what its model says; zero where that fails.
double NewtonMethod::backtrack(const Loss& loss, double t, const Matrix& F) {
  const double before = loss.value(F);
  for (int k = 0; k < kHalvings; ++k, t *= 0.5) {
    trial_ = F + t * fit_;
    const double model = line_.change(t);
    const double change = loss.value(trial_) - before + line_.penalty_change(t);
    if (change <= kSufficient * model + kResolution * before) return t;
  }
  return 0.0;
}

double NewtonMethod::loss_step(const Loss& loss, const WorkingSet& working, Vector& W,
                               Unpenalised& free, ConstVectorRef h, Precision precision,
                               Control& control, Matrix& F) {
  loss.hessian(F, hessian_);
  if (!profiled_.set(hessian_, free)) return 0.0;
  system_.set(working, W, h, &profiled_);
  if (system_.n_blocks() == 0) return 0.0;
  residual_.resize(F.rows(), F.cols());
  loss.dual_point(F, residual_);
  shortened_fit_ = residual_;
  if (free.size() > 0) {
    profiled_.solve(residual_, free_step_);
    trial_ = free.columns() * free_step_;
    hessian_.apply(trial_);
    shortened_fit_ -= trial_;
  }
  system_.gradient(shortened_fit_, precision, control, right_hand_side_);
  subtract_penalties(working, W);
  system_.solve(right_hand_side_, kTolerance, kMaxIterations, free, precision, control, direction_,
                fit_);
  if (free.size() > 0) {
    trial_ = fit_;
    hessian_.apply(trial_);
    profiled_.solve(trial_, free_follows_);
    free_step_ -= free_follows_;
    fit_ += free.columns() * free_step_;
  }
  double t = choose(working, W, precision, [&](const Matrix& fit) {
    trial_ = fit;
    hessian_.apply(trial_);
    line_.set_fit(-residual_.cwiseProduct(fit).sum(), trial_.cwiseProduct(fit).sum());
  });
  if (t > 0.0) t = backtrack(loss, t, F);
  if (t == 0.0) return 0.0;
  move_blocks(t, working, W);
  F += t * fit_;
  if (free.size() > 0) free.coefs() += t * free_step_;
  return t;
}

}  // namespace cvxnn
