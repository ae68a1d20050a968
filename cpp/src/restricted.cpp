#include "cvxnn/restricted.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/certificate.hpp"

namespace cvxnn {
namespace {
constexpr Index kMaxEpochs = 500;   // of the squared loss
constexpr Index kModelEpochs = 50;  // of one Newton step
constexpr Index kMaxNewtonSteps = 20;
constexpr Index kFistaPerEpoch = 10;  // iterations for an epoch
constexpr Index kMaxProximalSteps = 20;
constexpr double kProximalShare = 0.1;     // of the gap: what envelopes are solved to
constexpr double kProximalProgress = 0.5;  // of the gap, for which sigma stays
constexpr double kLoose = 1e-3;            // of the primal: targets that fista tries first
constexpr Index kLossSteps = 5;            // of Newton after one of a model
constexpr double kShortLossStep = 0.5;
constexpr double kRounding = 1e-12;
constexpr double kLeastModelShare = 1e-4;
constexpr double kModelShare = 0.1;  // of the target that a Newton step's model is solved to
}  // namespace

RestrictedProblem::RestrictedProblem(const Operator& op, const Loss& loss, Matrix free_columns,
                                     Method method, int n_threads)
    : free(std::move(free_columns), loss.n_outputs()),
      op_(op),
      loss_(loss),
      proximal_(loss.proximal()),
      smooth_(proximal_ ? *proximal_ : loss),
      method_(method),
      spectra_(op, n_threads),
      descent_(op, spectra_, n_threads),
      fista_(op, n_threads),
      interior_(op, n_threads),
      newton_(op, spectra_, n_threads),
      lagrangian_(op, n_threads),
      correction_(op, n_threads) {
  working.n_outputs = loss.n_outputs();
  working.starts = {0};
  model_.resize(op.n_samples(), loss.n_outputs());
}

void RestrictedProblem::set_model() {
  model_.F0 = model_.F;
  smooth_.dual_point(model_.F, model_.Theta0);
  model_.R = model_.Theta0;
  if (curvature_set_ && smooth_.quadratic()) return;
  smooth_.curvature(model_.F, model_.h);
  free.set_curvature(model_.h);
  descent_.clear();
  curvature_set_ = true;
}

// The curvature that bounds the loss anywhere. False where there is none.
bool RestrictedProblem::majorise() {
  if (!std::isfinite(smooth_.smoothness())) return false;
  model_.h = smooth_.smoothness() * smooth_.omega();
  free.set_curvature(model_.h);
  descent_.clear();
  return true;
}

void RestrictedProblem::refresh_fit() {
  op_.forward(working.blocks, working.coefs.data(), precision, model_.F);
  if (free.size() > 0) model_.F.noalias() += free.columns() * free.coefs();
}

void RestrictedProblem::try_coefs(const Vector& coefs, const Matrix& free_coefs) {
  refresh_fit();
  remember();
  const double before = primal();
  working.coefs = coefs;
  free.coefs() = free_coefs;
  refresh_fit();
  if (!(primal() < before)) restore();
}

void RestrictedProblem::dual_point(Matrix& Theta) {
  set_model();
  Theta = model_.Theta0;
  free.project(Theta);
  into_domain(Theta);
}

// Without a ridge the scaling that makes Theta feasible for blocks does the rest.
void RestrictedProblem::into_domain(Matrix& Theta) const {
  cvxnn::into_domain(loss_, free, Theta);
  if (op_.has_ridge()) Theta *= loss_.best_scale(Theta, 1.0);
}

bool RestrictedProblem::correct_dual_point(const std::vector<Index>& blocks, ConstVectorRef limits,
                                           Control& control, Matrix& Theta) {
  Index n_coefs = 0;
  for (const Index b : blocks) n_coefs += op_.block_size(b) * working.n_outputs;
  if (op_.cones() != nullptr || !op_.norm().frobenius() ||
      !correction_.pays(static_cast<Index>(blocks.size()), n_coefs, working.n_outputs)) {
    return false;
  }
  correction_.apply(blocks, limits, model_.h, free, control, Theta);
  into_domain(Theta);
  return true;
}

double RestrictedProblem::objective(const Loss& loss, ConstMatrixRef F, const Vector& coefs) const {
  return loss.value(F) + working.penalty(coefs);
}

// <F, Theta> is the penalised part's alone, for Theta is orthogonal to the unpenalised columns.
double RestrictedProblem::gap(const Loss& loss, const Matrix& Theta, double scale,
                              double conjugates) const {
  if (!free.orthogonal(Theta)) return std::numeric_limits<double>::infinity();
  const Matrix scaled = scale * Theta;
  double gap = loss.fenchel_gap(model_.F, scaled) + working.penalty(working.coefs) + conjugates;
  if (free.size() > 0) {
    gap -= (model_.F - free.columns() * free.coefs()).cwiseProduct(scaled).sum();
  } else {
    gap -= model_.F.cwiseProduct(scaled).sum();
  }
  return std::max(0.0, gap);
}

double RestrictedProblem::restricted_gap(const Loss& loss, Control& control) {
  dual_point(theta_);
  gradients_.resize(working.coefs.size());
  op_.gradients(working.blocks, theta_, precision, control, gradients_.data());
  double limit = std::numeric_limits<double>::infinity(), conjugates = 0.0;
  for (Index j = 0; j < working.size(); ++j) {
    const BlockPenalty& penalty = working.penalties[j];
    const Index b = working.blocks[j];
    LastProjection* last = op_.cones() != nullptr ? &projections_[b] : nullptr;
    const double norm = op_.restrict(b, working.block(gradients_, j), kTight * penalty.level, last);
    if (norm > 0.0) limit = std::min(limit, penalty.level / norm);
    conjugates += penalty.conjugate(norm);
  }
  const double scaled = gap(loss, theta_, loss.best_scale(theta_, limit));
  return op_.has_ridge() ? std::min(scaled, gap(loss, theta_, 1.0, conjugates)) : scaled;
}

void RestrictedProblem::remember() {
  F0_ = model_.F;
  free0_ = free.coefs();
  coefs0_ = working.coefs;
}

// Back towards the remembered point until the decrease is a fair share of what the model promised
// (Tseng and Yun 2009, eq. 8). False, and back at that point, where nothing decreases any more.
bool RestrictedProblem::line_search() {
  constexpr double kSufficient = 1e-4;
  constexpr double kResolution = 1e-13;
  constexpr int kHalvings = 40;
  const Matrix dF = model_.F - F0_, dfree = free.coefs() - free0_;
  const Vector dcoefs = working.coefs - coefs0_;
  const double before = objective(smooth_, F0_, coefs0_);
  double promised = -dF.cwiseProduct(model_.Theta0).sum();
  for (Index j = 0; j < working.size(); ++j) {
    promised += working.penalty(working.coefs, j) - working.penalty(coefs0_, j);
  }
  double t = 1.0;
  for (int k = 0; k < kHalvings; ++k, t *= 0.5) {
    model_.F = F0_ + t * dF;
    working.coefs = coefs0_ + t * dcoefs;
    const double after = objective(smooth_, model_.F, working.coefs);
    // Below the resolution of the objective only the model can tell: its full step is taken.
    const bool invisible = k == 0 && std::abs(promised) <= kResolution * before &&
                           after <= before + kResolution * before;
    if (invisible || (after < before && after <= before + kSufficient * t * promised)) {
      free.coefs() = free0_ + t * dfree;
      return true;
    }
  }
  restore();
  return false;
}

void RestrictedProblem::restore() {
  model_.F = F0_;
  working.coefs = coefs0_;
  free.coefs() = free0_;
}

void RestrictedProblem::minimise_model(double target, Index max_epochs, Control& control) {
  if (op_.cones() != nullptr && method_ != Method::fista) {
    n_epochs_ += lagrangian_.minimise(working, working.coefs, free, model_, smooth_.quadratic(),
                                      target, control, cone_theta_);
    if (cone_theta_.size() > 0) into_domain(cone_theta_);
    return;
  }
  if (method_ == Method::fista || begins_with_fista(target)) {
    const bool may_yield =
        method_ != Method::fista && op_.cones() == nullptr && op_.norm().frobenius();
    n_epochs_ += fista_.minimise(working, free, model_, precision, target,
                                 kFistaPerEpoch * max_epochs, may_yield, control);
    if (!may_yield || fista_.reached()) return;
  }
  const Acceleration acceleration =
      method_ == Method::bcd ? Acceleration::extrapolation : Acceleration::newton;
  n_epochs_ += descent_.minimise(working, free, model_, precision, acceleration, target, max_epochs,
                                 control);
}

// Of several outputs, whose Newton steps are preconditioned by diagonal blocks alone: far from the
// solution gradient steps, which need no decompositions, do as well, and block updates of blocks
// that are too large to decompose are hardly more.
bool RestrictedProblem::begins_with_fista(double target) const {
  if (op_.cones() != nullptr || !op_.norm().frobenius()) return true;
  if (method_ != Method::automatic || working.n_outputs == 1) return false;
  if (target > kLoose * primal()) return true;
  for (Index j = 0; j < working.size(); ++j) {
    if (working.rows(j) > kExactBlockSize) return true;
  }
  return false;
}

// The centre moves when a step begins, not when it ends: dual_point() is still that of the last.
void RestrictedProblem::minimise(double target, Control& control) {
  if (!proximal_) return minimise_smooth(target, control);
  double before = std::numeric_limits<double>::infinity();
  for (Index step = 0; step < kMaxProximalSteps; ++step) {
    proximal_->recentre(model_.F);
    minimise_smooth(kProximalShare * std::max(target, std::min(before, primal())), control);
    const double now = restricted_gap(loss_, control);
    if (now <= target) return;
    // An envelope that was hard to minimise must not become harder.
    if (now > kProximalProgress * before &&
        restricted_gap(smooth_, control) <= kProximalShare * now) {
      proximal_->sharpen();
    }
    before = now;
  }
}

void RestrictedProblem::minimise_smooth(double target, Control& control) {
  set_model();
  if (smooth_.quadratic()) {
    free.fit(model_.F, model_.R);
    remember();
    const double before = primal();
    minimise_model(target, kMaxEpochs, control);
    // Where the curvature is rounding, so are steps.
    if (!(primal() <= before * (1.0 + kRounding))) restore();
    return;
  }
  const bool apart = curves_outputs_apart();
  double share = apart ? 1.0 : kModelShare;
  bool majorised = false;
  for (Index step = 0; step < kMaxNewtonSteps; ++step) {
    remember();
    try {
      minimise_model(share * target, kModelEpochs, control);
    } catch (const StopRequest&) {
      line_search();
      throw;
    }
    const bool lower = line_search();
    if (!lower && op_.cones() != nullptr && share > kLeastModelShare) {
      share *= kLeastModelShare / kModelShare;  // as above
      set_model();
      continue;
    }
    // A loss that is curved on one side of a point may rise where its model does not see that.
    if (!lower && !majorised && op_.cones() == nullptr) {
      set_model();
      majorised = majorise();
      if (majorised) continue;
    }
    majorised = false;
    const bool followed = apart && newton_on_loss(target, control);
    if (!(lower || followed) || restricted_gap(smooth_, control) <= target) return;
  }
}

// Newton steps of the objective itself, which end with the gap at the target or with a short one.
// False where none descends.
bool RestrictedProblem::newton_on_loss(double target, Control& control) {
  newton_.clear();
  newton_.reserve(working, op_.n_samples());
  for (Index step = 0; step < kLossSteps; ++step) {
    const double t = newton_.loss_step(smooth_, working, working.coefs, free, model_.h, precision,
                                       control, model_.F);
    if (t == 0.0) return step > 0;
    if (t < kShortLossStep || restricted_gap(smooth_, control) <= target) break;
  }
  return true;
}

// Whether the quadratic model, which curves all outputs alike, bounds the loss only from far above.
bool RestrictedProblem::curves_outputs_apart() const {
  return working.n_outputs > 1 && !smooth_.quadratic() && op_.cones() == nullptr &&
         op_.norm().frobenius() && (method_ == Method::automatic || method_ == Method::newton) &&
         free.size() * working.n_outputs <= ProfiledHessian::kMostFree;
}

void RestrictedProblem::minimise_interior(double share, Control& control, Matrix& Theta) {
  set_model();
  remember();
  const double before = primal();
  try {
    n_epochs_ += interior_.minimise(working, working.coefs, free, model_, share, control, Theta);
  } catch (const StopRequest&) {
    restore();
    throw;
  }
  if (!(primal() <= before) || !Theta.allFinite()) {
    restore();
    Theta.resize(0, 0);
  }
}

}  // namespace cvxnn
