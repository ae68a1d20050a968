#include "cvxnn/augmented_lagrangian.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr Index kMaxSteps = 600;    // of Newton, in all
constexpr Index kPatience = 40;     // steps without a better gap
constexpr double kSurplus = 0.1;    // of the target: a step more, for a fit of more digits
constexpr double kSettled = 0.2;    // of what a model that is not the loss has fallen by: its gap
constexpr double kProgress = 0.95;  // of the gap, for which patience begins anew
constexpr double kInexact = 0.2;    // of the move of y: what psi is minimised to
constexpr double kFirstMove = 0.3;  // of the target: the fit of the first move, at theta = tau
// Sigma grows after few steps, less where that went too far, and shrinks after many: between too
// small, many rounds, and too large, many kinks of psi in the way of each.
constexpr Index kFewSteps = 4, kManySteps = 8, kTooManySteps = 12;
constexpr double kGrowth = 3.0, kMaxGrowth = 10.0, kMinGrowth = 1.2;
constexpr double kShrink = 0.5, kRetreat = 0.2;
constexpr double kNewBlocks = 0.3;  // of sigma, with which a call begins
// Of a line search: Armijo's decrease, Wolfe's share of the slope, shares of the bracket.
constexpr double kSufficient = 1e-4, kFlat = 0.5, kLeastShare = 0.1;
constexpr int kTrials = 25;
constexpr double kResolution = 1e-13;  // of psi

}  // namespace

void AugmentedLagrangian::set_model(const WorkingSet& working, const Vector& W,
                                    const Unpenalised& free, const QuadraticModel& model) {
  const Index n = op_.n_samples();
  root_ = model.h.cwiseSqrt();
  free_ = free.size() > 0 ? free.basis() : Matrix(n, 0);
  tau_.resize(n);
  for (Index i = 0; i < n; ++i) {
    tau_[i] = root_[i] > 0.0 ? model.Theta0(i, 0) / root_[i] + root_[i] * model.F0(i, 0) : 0.0;
  }
  project_out(free_, tau_);
  inverses_.resize(W.size());
  ridges_.resize(working.size());
  std::unordered_map<Index, std::unique_ptr<Cone>> kept;
  cone_.resize(static_cast<std::size_t>(working.size()));
  for (Index j = 0; j < working.size(); ++j) {
    const BlockPenalty& penalty = working.penalties[j];
    inverses_.segment(working.starts[j], working.rows(j)).setConstant(1.0 / penalty.level);
    ridges_[j] = penalty.ridge / penalty.level / penalty.level;
    std::unique_ptr<Cone>& cone = kept[working.blocks[j]];
    const auto found = cones_.find(working.blocks[j]);
    if (found != cones_.end()) {
      cone = std::move(found->second);
    } else {
      const Index n_rows = op_.cones()->rows(working.blocks[j]).rows();
      cone.reset(new Cone{Vector(n_rows), ConeProjection(working.rows(j))});
      op_.cones()->signs(working.blocks[j], cone->signs);
    }
    cone_[j] = cone.get();
  }
  cones_.swap(kept);
  y_ = W.cwiseQuotient(inverses_);
}

// z = B^T theta; theta is orthogonal to the unpenalised block.
void AugmentedLagrangian::back(const WorkingSet& working, const Vector& theta, Control& control,
                               Vector& z) {
  z.resize(inverses_.size());
  const Matrix scaled = root_.cwiseProduct(theta);
  op_.gradients(working.blocks, scaled, Precision::accurate, control, z.data());
  z.array() *= inverses_.array();
}

// F = P h^(1/2) sum_j A_j coefs_j.
void AugmentedLagrangian::forward(const std::vector<Index>& blocks, const Vector& coefs,
                                  Vector& F) {
  Matrix out(op_.n_samples(), 1);
  op_.forward(blocks, coefs.data(), Precision::accurate, out);
  F = root_.cwiseProduct(out.col(0));
  project_out(free_, F);
}

// u_j at the point. Where (y_j + sigma z_j) / sigma is no longer than one, so is its projection.
void AugmentedLagrangian::shrink(const WorkingSet& working, Index j, Point& point) {
  auto u = working.entries(point.u, j);
  u = working.entries(y_, j) / sigma_ + working.entries(point.z, j);
  double norm = u.norm();
  if (norm > 1.0) {
    cone_[j]->projection.resume(op_.cones()->rows(working.blocks[j]), cone_[j]->signs, u);
    norm = u.norm();
  }
  point.norms[j] = norm > 1.0 ? norm : 0.0;
  if (norm > 1.0) {
    u *= sigma_ * (1.0 - 1.0 / norm) / (1.0 + sigma_ * ridges_[j]);
  } else {
    u.setZero();
  }
}

void AugmentedLagrangian::evaluate(const WorkingSet& working, Point& point) {
  const Index m = working.size();
  point.u.resize(y_.size());
  point.norms.resize(m);
  double work = 0.0;
  for (const Index b : working.blocks) work += static_cast<double>(op_.cones()->rows(b).size());
  parallel_for(m, worthwhile_threads(work, n_threads_),
               [&](Index j, int) { shrink(working, j, point); });

  std::vector<Index> blocks;
  Vector coefs(y_.size());
  Index size = 0;
  double penalties = 0.0, slack = 1.0, squares = 0.0, conjugates = 0.0;
  for (Index j = 0; j < m; ++j) {
    const auto u = working.entries(point.u, j);
    // B_j^T theta is (u_j - y_j) / sigma away from a subgradient of p_j at u_j, whose projection
    // has the norm 1 + ridge_j ||u_j|| at most; the conjugate has a slope of u_j there, and a
    // curvature of at most 1 / ridge_j.
    const double norm = u.norm(), away = (u - working.entries(y_, j)).norm() / sigma_;
    const double penalty = norm + 0.5 * ridges_[j] * norm * norm;
    slack = std::max(slack, 1.0 + ridges_[j] * norm + away);
    if (op_.has_ridge()) {
      conjugates += working.entries(point.z, j).dot(u) - penalty + 0.5 * away * (away / ridges_[j]);
    }
    if (point.norms[j] == 0.0) continue;
    penalties += penalty;
    squares += (1.0 + sigma_ * ridges_[j]) * norm * norm;
    blocks.push_back(working.blocks[j]);
    coefs.segment(size, u.size()) = u * inverses_[working.starts[j]];
    size += u.size();
  }
  Vector F;
  forward(blocks, coefs, F);
  point.gradient = point.theta - tau_ + F;
  const double along = tau_.dot(point.theta), length = point.theta.squaredNorm();
  point.psi = 0.5 * length - along + 0.5 * squares / sigma_;
  point.primal = 0.5 * (tau_ - F).squaredNorm() + penalties;
  point.scale = length > 0.0 ? std::max(0.0, std::min(1.0 / slack, along / length)) : 0.0;
  point.dual = point.scale * (along - 0.5 * point.scale * length);
  const double unscaled = along - 0.5 * length - conjugates;
  if (op_.has_ridge() && unscaled > point.dual) {
    point.scale = 1.0;
    point.dual = unscaled;
  }
  point.move = (point.u - y_).norm();
}

void AugmentedLagrangian::keep_better() {
  if (now_.primal < best_primal_) {
    best_primal_ = now_.primal;
    best_u_ = now_.u;
  }
  if (now_.dual > best_dual_) {
    best_dual_ = now_.dual;
    best_theta_ = now_.scale * now_.theta;
  }
}

// A ridge divides the derivative of the prox by 1 + sigma ridge.
void AugmentedLagrangian::set_faces(const WorkingSet& working) {
  face_blocks_.clear();
  faces_.clear();
  for (Index j = 0; j < working.size(); ++j) {
    if (!(now_.norms[j] > 0.0)) continue;
    face_blocks_.push_back(working.blocks[j]);
    faces_.push_back({&cone_[j]->projection, working.entries(now_.u, j).normalized(),
                      std::sqrt(1.0 - 1.0 / now_.norms[j]),
                      inverses_[working.starts[j]] / std::sqrt(1.0 + sigma_ * ridges_[j])});
  }
}

// Newton's.
Vector AugmentedLagrangian::direction(const WorkingSet& working, Control& control) {
  set_faces(working);
  return system_.solve(face_blocks_, faces_, root_, free_, sigma_, -now_.gradient, control);
}

// False where no step decreases psi. Its slope along the step tells where kinks, which Newton's
// model does not know, ask for less: secants, in a bracket.
bool AugmentedLagrangian::newton_step(const WorkingSet& working, Control& control) {
  const Vector step = direction(working, control);
  const double slope = now_.gradient.dot(step);
  if (!(slope < 0.0)) return false;
  Vector along;
  back(working, step, control, along);
  double t = 1.0, low = 0.0, low_slope = slope, high = 1.0, high_slope = 0.0;
  for (int k = 0; k < kTrials; ++k) {
    control.poll();
    trial_.theta = now_.theta + t * step;
    trial_.z = now_.z + t * along;
    evaluate(working, trial_);
    const double here = trial_.gradient.dot(step);
    const bool lower = trial_.psi <= now_.psi + kSufficient * t * slope;
    const bool flat = here <= -kFlat * slope && (t == 1.0 || here >= kFlat * slope);
    // Below the resolution of psi the gradient tells.
    const bool invisible = -t * slope <= kResolution * std::abs(now_.psi) &&
                           trial_.gradient.norm() < now_.gradient.norm();
    if ((lower && flat) || invisible) {
      std::swap(now_, trial_);
      return true;
    }
    if (here > 0.0 || !lower) {
      high = t;
      high_slope = here;
    } else {
      low = t;
      low_slope = here;
    }
    const double share = high_slope > 0.0 ? low_slope / (low_slope - high_slope) : 0.5;
    t = low + std::clamp(share, kLeastShare, 1.0 - kLeastShare) * (high - low);
  }
  return false;
}

// From zero such that the first move, at theta = tau, would fit a share of the target; else such
// that a step of theta of its own size would move y by its own, for theta may be one that moves y
// by rounding alone.
double AugmentedLagrangian::first_sigma(const WorkingSet& working) {
  const double length = y_.norm();
  if (length > 0.0) return length;
  sigma_ = 1.0;
  evaluate(working, now_);
  const double fit = (now_.gradient - now_.theta + tau_).norm();
  return fit > 0.0 ? kFirstMove * tau_.norm() / fit : 1.0;
}

void AugmentedLagrangian::start(const WorkingSet& working, const Vector& W, Control& control) {
  system_.start();
  Vector F;
  forward(working.blocks, W, F);
  now_.theta = tau_ - F;
  back(working, now_.theta, control, now_.z);
  sigma_ = sigma_ > 0.0 ? kNewBlocks * sigma_ : first_sigma(working);
  best_u_ = y_;
  best_primal_ = 0.5 * now_.theta.squaredNorm() + working.penalty(W);
  best_theta_.setZero(tau_.size());
  best_dual_ = 0.0;
}

// Newton steps until psi is minimised well enough for y to move, or there were too many; returns
// their number.
Index AugmentedLagrangian::minimise_psi(const WorkingSet& working, Control& control, bool& solved) {
  evaluate(working, now_);
  for (Index steps = 0;; ++steps) {
    keep_better();
    solved = now_.gradient.norm() <= kInexact * now_.move / std::sqrt(sigma_);
    if (solved || done() || steps == kTooManySteps) return steps;
    if (!newton_step(working, control)) {
      solved = true;  // to rounding
      return steps;
    }
  }
}

Index AugmentedLagrangian::follow(const WorkingSet& working, Control& control) {
  Vector theta, z;  // of the last y
  double lowest = std::numeric_limits<double>::infinity(), growth = kGrowth;
  Index n = 0;
  for (Index idle = 0; n < kMaxSteps && idle < kPatience;) {
    bool solved = false;
    const Index steps = minimise_psi(working, control, solved);
    if (done()) return n + steps;
    n += steps + 1;
    idle += std::max(steps, kFewSteps);  // near rounding rounds are short
    if (gap() < kProgress * lowest) {
      lowest = gap();
      idle = 0;
    }
    if (solved) {
      y_ = now_.u;
      theta = now_.theta;
      z = now_.z;
      if (steps <= kFewSteps) {
        sigma_ *= growth;
        growth = std::min(kMaxGrowth, 1.5 * growth);
      } else {
        growth = kGrowth;
        if (steps > kManySteps) sigma_ *= kShrink;
      }
    } else if (theta.size() > 0) {
      now_.theta = theta;
      now_.z = z;
      sigma_ /= growth;
      growth = std::max(kMinGrowth, std::sqrt(growth));
    } else {
      sigma_ *= kRetreat;
    }
  }
  return n;
}

Index AugmentedLagrangian::minimise(const WorkingSet& working, Vector& W, Unpenalised& free,
                                    QuadraticModel& model, bool exact, double target,
                                    Control& control, Matrix& Theta) {
  Index n = 0;
  Theta.resize(0, 0);
  if (working.size() > 0) {
    set_model(working, W, free, model);
    start(working, W, control);
    target_ = kSurplus * target;
    settled_ = exact ? 0.0 : kSettled;
    first_primal_ = best_primal_;
    n = follow(working, control);
    if (gap() > target && !done()) sigma_ = 0.0;  // it may have left all measure

    W = best_u_.cwiseProduct(inverses_);
    Theta = root_.cwiseProduct(best_theta_);
  }
  op_.forward(working.blocks, W.data(), Precision::accurate, model.F);
  if (free.size() > 0) model.F.noalias() += free.columns() * free.coefs();
  model.R = model.Theta0 - model.h.asDiagonal() * (model.F - model.F0);
  free.fit(model.F, model.R);
  return n;
}

}  // namespace cvxnn
