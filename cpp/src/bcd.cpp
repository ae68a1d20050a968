#include "cvxnn/bcd.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kCheckPeriod = 10;     // epochs between evaluations of the gap
constexpr Index kFullSweepPeriod = 5;  // the epochs between visit non-zero blocks only
}  // namespace

void QuadraticModel::resize(Index n_samples, Index n_outputs) {
  for (Matrix* m : {&F, &R, &F0, &Theta0}) m->setZero(n_samples, n_outputs);
  h.setZero(n_samples);
}

// -<Theta0, D> + 1/2 <D, h D> with D = F - F0 and h D = Theta0 - R.
double QuadraticModel::value() const {
  return -0.5 * ((F - F0).array() * (Theta0 + R).array()).sum();
}

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
  const Eigen::LLT<Eigen::Matrix<double, kDepth, kDepth>> factor(gram_);
  if (factor.info() != Eigen::Success) return false;
  weights_ = factor.solve(Eigen::Matrix<double, kDepth, 1>::Ones());
  const double sum = weights_.sum();
  if (!std::isfinite(sum) || sum == 0.0) return false;
  weights_ /= sum;
  out.noalias() = iterates_.rightCols<kDepth>() * weights_;
  return true;
}

void BlockDescent::prepare(const WorkingSet& working, ConstVectorRef h) {
  std::vector<Index> missing;
  for (const Index b : working.blocks) {
    if (spectra_.count(b) == 0) missing.push_back(b);
  }
  std::vector<BlockSpectrum> found(missing.size());
  parallel_for(static_cast<Index>(missing.size()), n_threads_, [&](Index j, int) {
    const Index size = op_.block_size(missing[j]);
    Matrix gram(size, size);
    op_.gram(missing[j], h, gram);
    found[j] = decompose(gram);
  });
  for (std::size_t j = 0; j < missing.size(); ++j) {
    spectra_.emplace(missing[j], std::move(found[j]));
  }
  spectrum_.clear();
  Index largest = 0;
  for (Index j = 0; j < working.size(); ++j) {
    spectrum_.push_back(&spectra_.at(working.blocks[j]));
    largest = std::max(largest, working.rows(j));
  }
  for (Matrix* m : {&gradient_, &linear_, &change_, &step_}) m->resize(largest, working.n_outputs);
  rotated_.resize(working.coefs.size());
  gradients_.resize(working.coefs.size());
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
  const double a = working.alphas[j];
  auto gradient = gradient_.topRows(rows);
  auto linear = linear_.topRows(rows);
  auto change = change_.topRows(rows);
  MatrixMap Z = working.block(rotated_, j);

  op_.gradient(b, model.R, gradient);
  const bool was_zero = Z.isZero(0.0);
  if (was_zero && gradient.norm() <= a) return;

  if (spectrum.exact()) {
    linear.noalias() = spectrum.vectors.transpose() * gradient;
    // Outside the range of A_b a gradient is rounding.
    linear = (spectrum.values.array() > 0.0).cast<double>().matrix().asDiagonal() * linear;
  } else {
    linear = gradient;
  }
  linear += spectrum.values.asDiagonal() * Z;
  change = Z;
  update_block(spectrum, linear, a, Z);
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
  double sum = model.value();
  for (Index j = 0; j < working.size(); ++j) {
    sum += working.alphas[j] * working.block(rotated_, j).norm();
  }
  return sum;
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

// L(F) + L*(-s R) + <F, s R> + sum_j (a_j ||W_j|| - s <W_j, A_j^T R>): sums of non-negative terms.
double BlockDescent::gap(const WorkingSet& working, const QuadraticModel& model,
                         Precision precision, Control& control) {
  op_.gradients(working.blocks, model.R, precision, control, gradients_.data());
  double s = 1.0;
  for (Index j = 0; j < working.size(); ++j) {
    const double norm = working.block(gradients_, j).norm();
    if (norm > working.alphas[j]) s = std::min(s, working.alphas[j] / norm);
  }
  double curve = 0.0;
  for (Index i = 0; i < model.h.size(); ++i) {
    if (model.h[i] > 0.0) curve += model.R.row(i).squaredNorm() / model.h[i];
  }
  double sum = 0.5 * (1.0 - s) * (1.0 - s) * curve;
  for (Index j = 0; j < working.size(); ++j) {
    const auto W = working.block(working.coefs, j);
    sum += working.alphas[j] * W.norm() - s * W.cwiseProduct(working.block(gradients_, j)).sum();
  }
  return sum;
}

Index BlockDescent::minimise(WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                             Precision precision, double target_gap, Index max_epochs,
                             Control& control) {
  prepare(working, model.h);
  joint_.resize(rotated_.size() + free.coefs().size() + model.F.size());
  previous_.resize(joint_.size());
  extrapolation_.resize(joint_.size());
  rotate(working, working.coefs, rotated_, true);
  free.fit(model.F, model.R);
  try {
    for (Index n = 1;; ++n) {
      const bool full_sweep = n % kFullSweepPeriod == 1;
      epoch(working, free, model, !full_sweep, control);
      try_extrapolation(working, free, model);
      const bool last = n >= max_epochs;
      if (n % kCheckPeriod != 0 && !last) continue;
      rotate(working, rotated_, working.coefs, false);
      if (last || gap(working, model, precision, control) <= target_gap) return n;
    }
  } catch (const StopRequest&) {
    rotate(working, rotated_, working.coefs, false);
    throw;
  }
}

}  // namespace cvxnn
