#include "cvxnn/bcd.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/cholesky.hpp"

namespace cvxnn {
namespace {
constexpr Index kCheckPeriod = 10;     // epochs between evaluations of the gap
constexpr Index kFullSweepPeriod = 5;  // the epochs between visit non-zero blocks only
constexpr double kShortStep = 0.5;     // a Newton step that kinks have cut short
constexpr double kProgress = 0.9;      // of the gap, that counts
constexpr Index kPatience = 10;        // Newton steps without progress before rounding is blamed
}  // namespace

void Extrapolation::resize(Index size) {
  iterates_.resize(size, kDepth + 1);
  differences_.resize(size, kDepth);
  count_ = 0;
}

void Extrapolation::push(ConstVectorRef iterate) { iterates_.col(count_++) = iterate; }

bool Extrapolation::extrapolate(VectorRef out) {
  differences_ = iterates_.rightCols<kDepth>() - iterates_.leftCols<kDepth>();
  gram_.noalias() = differences_.transpose() * differences_;
  const double trace = gram_.trace();
  clear();
  if (!(trace > 0.0)) return false;
  gram_.diagonal().array() += 1e-12 * trace;
  if (!factor_in_place(gram_)) return false;
  weights_.setOnes();
  solve_factored(gram_, weights_);
  const double sum = weights_.sum();
  if (!std::isfinite(sum) || sum == 0.0) return false;
  weights_ /= sum;
  out.noalias() = iterates_.rightCols<kDepth>() * weights_;
  return true;
}

void BlockDescent::prepare(const WorkingSet& working, const Unpenalised& free,
                           const QuadraticModel& model, Acceleration acceleration) {
  spectra_.prepare(working.blocks, model.h);
  spectrum_.clear();
  Index largest = 0;
  for (Index j = 0; j < working.size(); ++j) {
    spectrum_.push_back(&spectra_[working.blocks[j]]);
    largest = std::max(largest, working.rows(j));
  }
  for (Matrix* m : {&gradient_, &linear_, &change_, &step_}) m->resize(largest, working.n_outputs);
  rotated_.resize(working.coefs.size());
  gradients_.resize(working.coefs.size());
  if (acceleration == Acceleration::newton) {
    newton_.reserve(working, model.F.rows());
    return;
  }
  joint_.resize(rotated_.size() + free.coefs().size() + model.F.size());
  previous_.resize(joint_.size());
  extrapolation_.resize(joint_.size());
}

// to_j = V_j^T from_j, or V_j from_j.
void BlockDescent::rotate(const WorkingSet& working, const Vector& from, Vector& to,
                          bool forward) const {
  for (Index j = 0; j < working.size(); ++j) {
    const Matrix& V = spectrum_[j]->vectors;
    const ConstMatrixMap source = working.block(from, j);
    MatrixMap target = working.block(to, j);
    if (!spectrum_[j]->exact()) {
      target = source;
    } else if (forward) {
      target.noalias() = V.transpose() * source;
    } else {
      target.noalias() = V * source;
    }
  }
}

void BlockDescent::visit(const WorkingSet& working, Index j, QuadraticModel& model) {
  const BlockSpectrum& spectrum = *spectrum_[j];
  const Index rows = working.rows(j), b = working.blocks[j];
  const BlockPenalty& penalty = working.penalties[j];
  auto gradient = gradient_.topRows(rows);
  auto linear = linear_.topRows(rows);
  auto change = change_.topRows(rows);
  MatrixMap Z = working.block(rotated_, j);

  op_.gradient(b, model.R, gradient);
  const bool was_zero = Z.isZero(0.0);
  if (was_zero && gradient.norm() <= penalty.level) return;

  if (spectrum.exact()) {
    linear.noalias() = spectrum.vectors.transpose() * gradient;
    // Outside the range of A_b a gradient is rounding.
    linear = (spectrum.values.array() > 0.0).cast<double>().matrix().asDiagonal() * linear;
  } else {
    linear = gradient;
  }
  linear += spectrum.values.asDiagonal() * Z;
  change = Z;
  update_block(spectrum, linear, penalty.level, penalty.ridge, Z);
  change = Z - change;
  if (change.isZero(0.0)) return;
  if (spectrum.exact()) {
    auto step = step_.topRows(rows);
    step.noalias() = spectrum.vectors * change;
    op_.step(b, step, model.h, model.F, model.R);
  } else {
    op_.step(b, change, model.h, model.F, model.R);
  }
}

void BlockDescent::epoch(const WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                         bool active_only, Control& control) {
  for (Index j = 0; j < working.size(); ++j) {
    if (active_only && working.block(rotated_, j).isZero(0.0)) continue;
    visit(working, j, model);
    control.poll();
  }
  free.fit(model.F, model.R);
}

double BlockDescent::objective(const WorkingSet& working, const QuadraticModel& model) const {
  return model.value() + working.penalty(rotated_);  // norms do not see rotations
}

// F is linear in the coefficients, so the extrapolated F is the same combination of past ones.
void BlockDescent::try_extrapolation(const WorkingSet& working, Unpenalised& free,
                                     QuadraticModel& model) {
  const Index n_rotated = rotated_.size(), n_free = free.coefs().size(), n_fit = model.F.size();
  const auto gather = [&] {
    joint_.head(n_rotated) = rotated_;
    joint_.segment(n_rotated, n_free) = free.coefs().reshaped();
    joint_.tail(n_fit) = model.F.reshaped();
  };
  const auto scatter = [&](const Vector& joint) {
    rotated_ = joint.head(n_rotated);
    free.coefs().reshaped() = joint.segment(n_rotated, n_free);
    model.F.reshaped() = joint.tail(n_fit);
    model.R = model.Theta0 - model.h.asDiagonal() * (model.F - model.F0);
  };
  gather();
  extrapolation_.push(joint_);
  if (!extrapolation_.full()) return;
  previous_ = joint_;
  const double before = objective(working, model);
  if (!extrapolation_.extrapolate(joint_)) return;
  scatter(joint_);
  if (!(objective(working, model) < before)) scatter(previous_);
}

double BlockDescent::gap(const WorkingSet& working, const QuadraticModel& model,
                         Precision precision, Control& control) {
  op_.gradients(working.blocks, model.R, precision, control, gradients_.data());
  return model_gap(op_, working, working.coefs, gradients_, model.R, model.h);
}

Index BlockDescent::minimise(WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                             Precision precision, Acceleration acceleration, double target_gap,
                             Index max_epochs, Control& control) {
  prepare(working, free, model, acceleration);
  rotate(working, working.coefs, rotated_, true);
  free.fit(model.F, model.R);
  try {
    return acceleration == Acceleration::newton
               ? newton(working, free, model, precision, target_gap, max_epochs, control)
               : descend(working, free, model, precision, target_gap, max_epochs, control);
  } catch (const StopRequest&) {
    rotate(working, rotated_, working.coefs, false);
    throw;
  }
}

Index BlockDescent::descend(WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                            Precision precision, double target_gap, Index max_epochs,
                            Control& control) {
  for (Index n = 1;; ++n) {
    const bool full_sweep = n % kFullSweepPeriod == 1;
    epoch(working, free, model, !full_sweep, control);
    try_extrapolation(working, free, model);
    const bool last = n >= max_epochs;
    if (n % kCheckPeriod != 0 && !last) continue;
    rotate(working, rotated_, working.coefs, false);
    if (last || gap(working, model, precision, control) <= target_gap) return n;
  }
}

// Whether its exact update, from the gradient at hand, would turn a block to or from zero: what
// Newton steps cannot do.
bool BlockDescent::changes_status(const WorkingSet& working, Index j) {
  const MatrixMap gradient = working.block(gradients_, j);
  const MatrixMap Z = working.block(rotated_, j);
  const double a = working.penalties[j].level;
  if (Z.isZero(0.0)) return gradient.norm() > a;
  const BlockSpectrum& spectrum = *spectrum_[j];
  auto linear = linear_.topRows(working.rows(j));
  if (spectrum.exact()) {
    linear.noalias() = spectrum.vectors.transpose() * gradient;
  } else {
    linear = gradient;
  }
  linear += spectrum.values.asDiagonal() * Z;
  return linear.norm() <= a;
}

// Only blocks that change their status are updated, all of them after a step that a kink cut short.
Index BlockDescent::newton(WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                           Precision precision, double target_gap, Index max_epochs,
                           Control& control) {
  double lowest = std::numeric_limits<double>::infinity();
  bool sweep = false;
  Index idle = 0;
  for (Index n = 0;; ++n) {
    rotate(working, rotated_, working.coefs, false);
    const double current = gap(working, model, precision, control);
    idle = current < kProgress * lowest ? 0 : idle + 1;
    lowest = std::min(lowest, current);
    // At least one: where the model is not the loss, its gap may be small before that of the loss.
    if (n > 0 && (current <= target_gap || n >= max_epochs || idle > kPatience)) return n;

    for (Index j = 0; j < working.size(); ++j) {
      if (!sweep && !changes_status(working, j)) continue;
      visit(working, j, model);
      control.poll();
    }
    free.fit(model.F, model.R);
    rotate(working, rotated_, working.coefs, false);
    sweep = newton_.step(working, working.coefs, free, model, precision, control) < kShortStep;
    rotate(working, working.coefs, rotated_, true);
  }
}

}  // namespace cvxnn
