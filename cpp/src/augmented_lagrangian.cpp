#include "cvxnn/augmented_lagrangian.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/cost_model.hpp"
#include "cvxnn/sample_system.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr Index kMaxSteps = 600;    // of Newton, in all
constexpr Index kPatience = 40;     // steps without a better gap
constexpr double kSurplus = 0.1;    // of the target: a step more, for a fit of more digits
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
constexpr Index kMaxOrder = 8192;
constexpr Index kMaxInner = 300;  // of conjugate gradients
constexpr Index kFewInner = 20;   // that they are expected to take, while nobody knows
constexpr double kInnerTol = 0.1;

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
  project_out(tau_);
  inverses_.resize(W.size());
  std::unordered_map<Index, std::unique_ptr<Cone>> kept;
  cone_.resize(static_cast<std::size_t>(working.size()));
  for (Index j = 0; j < working.size(); ++j) {
    inverses_.segment(working.starts[j], working.rows(j)).setConstant(1.0 / working.alphas[j]);
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

void AugmentedLagrangian::project_out(MatrixRef V) const {
  if (free_.cols() > 0) V -= free_ * (free_.transpose() * V);
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
  project_out(F);
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
    u *= sigma_ * (1.0 - 1.0 / norm);
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
  double penalty = 0.0, slack = 1.0, squares = 0.0;
  for (Index j = 0; j < m; ++j) {
    const auto u = working.entries(point.u, j);
    // B_j^T theta less its projection on what is dual feasible is (u_j - y_j) / sigma.
    slack = std::max(slack, 1.0 + (u - working.entries(y_, j)).norm() / sigma_);
    if (point.norms[j] == 0.0) continue;
    const double norm = u.norm();
    penalty += norm;
    squares += norm * norm;
    blocks.push_back(working.blocks[j]);
    coefs.segment(size, u.size()) = u * inverses_[working.starts[j]];
    size += u.size();
  }
  Vector F;
  forward(blocks, coefs, F);
  point.gradient = point.theta - tau_ + F;
  const double along = tau_.dot(point.theta), length = point.theta.squaredNorm();
  point.psi = 0.5 * length - along + 0.5 * squares / sigma_;
  point.primal = 0.5 * (tau_ - F).squaredNorm() + penalty;
  point.scale = length > 0.0 ? std::max(0.0, std::min(1.0 / slack, along / length)) : 0.0;
  point.dual = point.scale * (along - 0.5 * point.scale * length);
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

// With w the unit vector along the projection v of a block, the prox has the derivative
// Q (a^2 I + (1 - a^2) w w^T) Q^T, a^2 = 1 - 1 / ||v||, Q a basis of the span of v's face. Its
// root: Q (a I + (1 - a) w w^T).
void AugmentedLagrangian::set_faces(const WorkingSet& working) {
  active_.clear();
  for (Index j = 0; j < working.size(); ++j) {
    if (now_.norms[j] > 0.0) active_.push_back(j);
  }
  std::vector<Matrix> roots(active_.size());
  parallel_for(static_cast<Index>(active_.size()), n_threads_, [&](Index k, int) {
    const Index j = active_[k];
    Matrix& root = roots[k];
    root = cone_[j]->projection.face();
    const double a = std::sqrt(1.0 - 1.0 / now_.norms[j]);
    const Vector unit = working.entries(now_.u, j).normalized();
    const Vector along = root.transpose() * unit;
    root *= a;
    root.noalias() += (1.0 - a) * unit * along.transpose();
    root *= inverses_[working.starts[j]];
  });
  face_blocks_.clear();
  Index size = 0;
  for (std::size_t k = 0; k < active_.size(); ++k) {
    face_blocks_.insert(face_blocks_.end(), static_cast<std::size_t>(roots[k].cols()),
                        working.blocks[active_[k]]);
    size += roots[k].size();
  }
  face_coefs_.resize(size);
  Index first = 0;
  for (const Matrix& root : roots) {
    face_coefs_.segment(first, root.size()) = Eigen::Map<const Vector>(root.data(), root.size());
    first += root.size();
  }
}

// -(I + sigma C C^T)^-1 gradient, where C C^T is B times the derivative of the prox times B^T.
Vector AugmentedLagrangian::direction(const WorkingSet& working, Control& control) {
  set_faces(working);
  const Index n = op_.n_samples(), r = static_cast<Index>(face_blocks_.size());
  const Vector& g = now_.gradient;
  if (r == 0) return -g;
  if (!factoring_pays(working)) return by_conjugate_gradients(working, control);
  Matrix C;
  block_images(op_, face_blocks_, face_coefs_.data(), n_threads_, C);
  C.array().colwise() *= root_.array();
  project_out(C);
  control.poll();
  if (r <= n) {
    Matrix K = Matrix::Zero(r, r);
    K.diagonal().setConstant(1.0 / sigma_);
    add_lower_product(1.0, C.transpose(), n_threads_, K);
    Vector inner = C.transpose() * g;
    if (!factor_in_place(K, n_threads_, control)) return -g;
    solve_factored(K, inner);
    return C * inner - g;
  }
  Matrix K = Matrix::Identity(n, n);
  add_lower_product(sigma_, C, n_threads_, K);
  Vector out = -g;
  if (factor_in_place(K, n_threads_, control)) solve_factored(K, out);
  return out;
}

// While sigma is small, systems are well-conditioned and large: as many iterations as last time.
bool AugmentedLagrangian::factoring_pays(const WorkingSet& working) const {
  const double n = static_cast<double>(op_.n_samples());
  const double r = static_cast<double>(face_blocks_.size());
  const double entries = static_cast<double>(face_coefs_.size());
  const double side = std::min(n, r), other = std::max(n, r);
  if (n * r > max_entries_ || side > static_cast<double>(kMaxOrder)) return false;
  Index n_coefs = 0;
  for (const Index j : active_) n_coefs += working.rows(j);
  const double iteration =
      cost::products(op_.n_samples(), 2 * n_coefs) + cost::streamed(2.0 * entries);
  const double dense = side * side * (0.5 * other + side / 6.0) + n * entries;
  return dense / cost::kDenseRate < static_cast<double>(n_inner_) * iteration;
}

Vector AugmentedLagrangian::by_conjugate_gradients(const WorkingSet& working, Control& control) {
  std::vector<Index> blocks;
  Index n_coefs = 0;
  for (const Index j : active_) {
    blocks.push_back(working.blocks[j]);
    n_coefs += working.rows(j);
  }
  Vector coefs(n_coefs), F;
  const auto product = [&](const Vector& v) -> Vector {
    op_.gradients(blocks, Matrix(root_.cwiseProduct(v)), Precision::accurate, control,
                  coefs.data());
    Index first = 0, position = 0, column = 0;
    for (const Index j : active_) {
      const Index d = working.rows(j);
      Index k = 0;
      while (column < static_cast<Index>(face_blocks_.size()) &&
             face_blocks_[column] == working.blocks[j]) {
        ++k, ++column;
      }
      const ConstMatrixMap root(face_coefs_.data() + position, d, k);
      const Vector inner = root.transpose() * coefs.segment(first, d);
      coefs.segment(first, d).noalias() = root * inner;
      first += d;
      position += d * k;
    }
    forward(blocks, coefs, F);
    return v + sigma_ * F;
  };
  Vector x = Vector::Zero(op_.n_samples()), r = -now_.gradient, p = r;
  double rr = r.squaredNorm();
  const double enough = kInnerTol * kInnerTol * rr;
  for (n_inner_ = 0; n_inner_ < kMaxInner && rr > enough; ++n_inner_) {
    control.poll();
    const Vector q = product(p);
    const double step = rr / p.dot(q);
    x += step * p;
    r -= step * q;
    const double before = rr;
    rr = r.squaredNorm();
    p = r + (rr / before) * p;
  }
  return x;
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
  n_inner_ = kFewInner;
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
Index AugmentedLagrangian::minimise_psi(const WorkingSet& working, double target, Control& control,
                                        bool& solved) {
  evaluate(working, now_);
  for (Index steps = 0;; ++steps) {
    keep_better();
    solved = now_.gradient.norm() <= kInexact * now_.move / std::sqrt(sigma_);
    if (solved || gap() <= target || steps == kTooManySteps) return steps;
    if (!newton_step(working, control)) {
      solved = true;  // to rounding
      return steps;
    }
  }
}

Index AugmentedLagrangian::follow(const WorkingSet& working, double target, Control& control) {
  Vector theta, z;  // of the last y
  double lowest = std::numeric_limits<double>::infinity(), growth = kGrowth;
  Index n = 0;
  for (Index idle = 0; n < kMaxSteps && idle < kPatience;) {
    bool solved = false;
    const Index steps = minimise_psi(working, target, control, solved);
    if (gap() <= target) return n + steps;
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
                                    QuadraticModel& model, double target, Control& control,
                                    Matrix& Theta) {
  Index n = 0;
  Theta.resize(0, 0);
  if (working.size() > 0) {
    set_model(working, W, free, model);
    start(working, W, control);
    n = follow(working, kSurplus * target, control);
    if (gap() > target) sigma_ = 0.0;  // it may have left all measure

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
