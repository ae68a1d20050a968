#include "cvxnn/interior_point.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cvxnn {
namespace {

constexpr Index kMaxIterations = 60;
constexpr Index kPatience = 5;        // iterations without a better gap
constexpr double kToBoundary = 0.99;  // share of the step to the boundary that is taken
constexpr double kInside = 0.9;       // of the dual ball: where theta starts
constexpr double kResidual = 1e-3;    // share of the gap that residuals of the system may add

auto part(Vector& values, const WorkingSet& working, Index j) {
  return values.segment(working.starts[j], working.rows(j));
}
auto part(const Vector& values, const WorkingSet& working, Index j) {
  return values.segment(working.starts[j], working.rows(j));
}

}  // namespace

void InteriorPoint::forward(const WorkingSet& working, const Vector& y, Matrix& F) {
  for (Index j = 0; j < working.size(); ++j) {
    part(scaled_, working, j) = part(y, working, j) / working.penalties[j].level;
  }
  op_.forward(working.blocks, scaled_.data(), Precision::accurate, F);
}

void InteriorPoint::gradients(const WorkingSet& working, const Matrix& theta, Control& control,
                              Vector& z) {
  op_.gradients(working.blocks, theta, Precision::accurate, control, z.data());
  for (Index j = 0; j < working.size(); ++j) part(z, working, j) /= working.penalties[j].level;
}

// Fit and residual at y, the unpenalised block at its minimiser.
void InteriorPoint::fit(const WorkingSet& working, const Vector& y, Unpenalised& free,
                        QuadraticModel& model) {
  forward(working, y, model.F);
  if (free.size() > 0) model.F.noalias() += free.columns() * free.coefs();
  model.R = model.Theta0 - model.h.asDiagonal() * (model.F - model.F0);
  free.fit(model.F, model.R);
}

void InteriorPoint::start(const WorkingSet& working, Unpenalised& free, QuadraticModel& model,
                          Control& control) {
  const Index n = op_.n_samples(), m = working.size(), n_coefs = working.coefs.size();
  for (Vector* v : {&y_, &z_, &pull_, &directions_, &lambda_, &kept_, &scaled_}) {
    v->setZero(n_coefs);
  }
  for (Vector* v : {&heads_, &lambda_heads_}) v->resize(m);
  for (Direction* d : {&predictor_, &step_}) {
    d->heads.resize(m);
    d->tails.resize(n_coefs);
    d->z.resize(n_coefs);
    d->theta.resize(n, 1);
  }
  scalings_.reserve(m);
  weights_.resize(m);
  root_ = model.h.cwiseSqrt();
  system_.start(working, root_, free.basis());

  fit(working, y_, free, model);
  theta_ = model.R;
  gradients(working, theta_, control, z_);
  double largest = 0.0, energy = 0.0;  // of the loss at zero
  for (Index j = 0; j < m; ++j) largest = std::max(largest, part(z_, working, j).norm());
  for (Index i = 0; i < n; ++i) {
    if (model.h[i] > 0.0) energy += 0.5 * model.R(i, 0) * model.R(i, 0) / model.h[i];
  }
  const double scale = largest > kInside ? kInside / largest : 1.0;
  theta_ *= scale;
  z_ *= scale;
  share_ = energy / static_cast<double>(m);
  for (Index j = 0; j < m; ++j) {
    heads_[j] = 0.5 * share_ / cone_determinant(1.0, part(z_, working, j));
  }
}

double InteriorPoint::complementarity() const {
  return (heads_.sum() - y_.dot(z_)) / static_cast<double>(heads_.size());
}

// The scalings at this point, and their system.
bool InteriorPoint::scale(const WorkingSet& working, Control& control) {
  scalings_.clear();
  for (Index j = 0; j < working.size(); ++j) {
    const auto y = part(y_, working, j), z = part(z_, working, j);
    if (!(cone_determinant(heads_[j], y) > 0.0 && cone_determinant(1.0, z) > 0.0)) return false;
    scalings_.emplace_back(heads_[j], y, 1.0, -z, directions_.data() + working.starts[j]);
    lambda_heads_[j] = 1.0;
    part(lambda_, working, j) = -z;
    scalings_[j].apply(lambda_heads_[j], part(lambda_, working, j));
    weights_[j] = std::pow(scalings_[j].eta() / working.penalties[j].level, 2);
  }
  return system_.set(working, weights_, directions_, control);
}

// Newton's direction towards complementarity `centre`; the corrector adds the second-order term of
// the predictor, whose solution of the system is the first guess. False where rounding wins.
bool InteriorPoint::direction(const WorkingSet& working, double centre, bool corrector,
                              Control& control, Direction& out) {
  for (Index j = 0; j < working.size(); ++j) {
    const ConeScaling& scaling = scalings_[j];
    double& head = out.heads[j];
    auto tail = part(out.tails, working, j);
    const auto lambda = part(lambda_, working, j);
    head = -lambda_heads_[j];
    tail = -lambda;
    if (corrector) {
      add_corrector(scaling, lambda_heads_[j], lambda, centre, predictor_.heads[j],
                    part(predictor_.tails, working, j), -part(predictor_.z, working, j), head,
                    tail);
    }
    scaling.eliminate_head(head, tail);
  }
  out.z = out.tails + pull_;
  for (Index j = 0; j < working.size(); ++j) {
    scalings_[j].solve_tail(part(out.z, working, j));
  }
  forward(working, out.z, out.theta);
  right_hand_side_ = -root_.cwiseProduct(out.theta.col(0));
  // The residual of the system is the next excess, half of whose square is part of the gap.
  const double gap = complementarity() * static_cast<double>(working.size());
  if (!corrector) samples_.setZero(right_hand_side_.size());
  if (!system_.solve(working, right_hand_side_, std::sqrt(2.0 * kResidual * gap), control,
                     samples_)) {
    return false;
  }
  out.theta.col(0) = -root_.cwiseProduct(samples_);
  out.theta -= excess_;
  gradients(working, out.theta, control, out.z);
  for (Index j = 0; j < working.size(); ++j) {
    auto tail = part(out.tails, working, j);
    tail = part(out.z, working, j) - tail;
    scalings_[j].solve_tail(tail);
    out.heads[j] = scalings_[j].head_step(out.heads[j], tail);
  }
  return true;
}

double InteriorPoint::step_length(const WorkingSet& working, const Direction& d) const {
  double step = std::numeric_limits<double>::infinity();
  for (Index j = 0; j < working.size(); ++j) {
    step = std::min(
        step, largest_step(heads_[j], part(y_, working, j), d.heads[j], part(d.tails, working, j)));
    step = std::min(step, largest_step(1.0, -part(z_, working, j), 0.0, -part(d.z, working, j)));
  }
  return step;
}

// A block is zero at the solution where, along the central path, its norm vanishes and not the
// slack of its dual constraint: their product does not depend on the block. Returns the gap of what
// is kept, with theta, as a share of its objective.
double InteriorPoint::keep_active(const WorkingSet& working, Unpenalised& free,
                                  QuadraticModel& model) {
  const double largest = std::max(share_, heads_.maxCoeff());
  double gap = 0.0, objective = std::numeric_limits<double>::min();
  for (Index j = 0; j < working.size(); ++j) {
    const auto y = part(y_, working, j), z = part(z_, working, j);
    const double norm = y.norm();
    if (1.0 - z.norm() < (heads_[j] + norm) / largest) {
      part(kept_, working, j) = y;
      gap += norm - y.dot(z);
      objective += norm;
    } else {
      part(kept_, working, j).setZero();
    }
  }
  fit(working, kept_, free, model);
  for (Index i = 0; i < model.h.size(); ++i) {
    const double residual = model.R(i, 0), excess = theta_(i, 0) - residual;
    if (!(model.h[i] > 0.0)) continue;
    gap += 0.5 * excess * excess / model.h[i];
    objective += 0.5 * residual * residual / model.h[i];
  }
  return gap / objective;
}

Index InteriorPoint::minimise(const WorkingSet& working, Vector& W, Unpenalised& free,
                              QuadraticModel& model, double share, Control& control,
                              Matrix& theta) {
  start(working, free, model, control);
  Vector best = y_;
  Matrix best_free = free.coefs();
  theta = theta_;
  double lowest = std::numeric_limits<double>::infinity();
  Index n = 0;
  for (Index idle = 0; n < kMaxIterations && idle < kPatience && lowest > share; ++n) {
    if (!scale(working, control)) break;
    excess_ = theta_ - model.R;
    gradients(working, excess_, control, pull_);
    if (!direction(working, 0.0, false, control, predictor_)) break;
    const double affine = std::min(1.0, step_length(working, predictor_));
    const double centre = std::pow(1.0 - affine, 3) * complementarity();
    if (!direction(working, centre, true, control, step_)) break;
    const double step = std::min(1.0, kToBoundary * step_length(working, step_));
    if (!(step > 0.0)) break;
    heads_ += step * step_.heads;
    y_ += step * step_.tails;
    theta_ += step * step_.theta;
    gradients(working, theta_, control, z_);

    const double gap = keep_active(working, free, model);
    ++idle;
    if (gap < lowest) {
      lowest = gap;
      best = kept_;
      best_free = free.coefs();
      theta = theta_;
      idle = 0;
    }
    fit(working, y_, free, model);
  }
  for (Index j = 0; j < working.size(); ++j) {
    part(W, working, j) = part(best, working, j) / working.penalties[j].level;
  }
  free.coefs() = best_free;
  fit(working, best, free, model);
  return n;
}

}  // namespace cvxnn
