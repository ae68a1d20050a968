#include "cvxnn/interior_system.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/cost_model.hpp"
#include "cvxnn/unpenalised.hpp"

namespace cvxnn {
namespace {
constexpr Index kMaxIterations = 100;
constexpr double kNegligible = 1e-12;  // share of the largest a_j that a block may be left out for
constexpr double kSmall = 2.0;         // a rank-one term beside the lagged ones of its block
}  // namespace

void InteriorSystem::start(const WorkingSet& working, Vector root, Matrix free) {
  root_ = std::move(root);
  free_ = std::move(free);
  const Index n = op_.n_samples(), n_blocks = working.size();
  samples_.resize(n);
  gradients_.reserve(n);
  coefs_.resize(working.coefs.size());
  rounded_.resize(n, 1);
  by_factor_ = false;
  age_ = 0;
  recent_ = 0.0;
  Index largest = 0;
  for (Index j = 0; j < n_blocks; ++j) largest = std::max(largest, working.rows(j));
  lagged_seconds_ = cost::lagged_factor(n, n_blocks, largest);
  exact_seconds_ = cost::interior_factor(n, n_blocks, largest);
  gradient_seconds_ = cost::interior_gradient(n, n_blocks, largest);
}

bool InteriorSystem::set(const WorkingSet& working, const Vector& a, const Vector& w,
                         Control& control) {
  a_ = a;
  w_ = w;
  // A new preconditioner that costs more than exact factors helps nobody.
  if (age_ == 1 && recent_ > exact_seconds_) by_factor_ = true;
  if (!by_factor_) {
    const bool old = age_ == 0 || recent_ * static_cast<double>(age_) > spent_;
    by_factor_ = (old && !renew(working, control)) || !correct(working, control);
  }
  ++age_;
  recent_ = 0.0;
  return !by_factor_ || factor(working, control);
}

bool InteriorSystem::renew(const WorkingSet& working, Control& control) {
  age_ = 0;
  spent_ = lagged_seconds_;
  lagged_a_ = a_;
  return lagged_.factor(working.blocks, a_, nullptr, 1.0, root_, control);
}

// Z and the capacitance: (L L^T + V V^T)^-1 = L^-T (I - Z (I + Z^T Z)^-1 Z^T) L^-1 with Z = L^-1 V.
// The columns of E stand for infinite multiples, without the I.
bool InteriorSystem::correct(const WorkingSet& working, Control& control) {
  // a_j A_j w_j w_j^T A_j^T is at most ||w_j||^2 a_j A_j A_j^T.
  std::vector<Index> large;
  std::vector<double> directions;
  for (Index j = 0; j < working.size(); ++j) {
    const auto w = w_.segment(working.starts[j], working.rows(j));
    if (2.0 * a_[j] * w.squaredNorm() <= kSmall * lagged_a_[j]) continue;
    large.push_back(working.blocks[j]);
    for (const double value : w) directions.push_back(std::sqrt(2.0 * a_[j]) * value);
  }
  Matrix V;
  block_images(op_, large, directions.data(), n_threads_, V);
  V.array().colwise() *= root_.array();
  const Index k = V.cols(), f = free_.cols();
  MatrixF rounded(V.rows(), k + f);
  rounded.leftCols(k) = V.cast<float>();
  if (f > 0) rounded.rightCols(f) = free_.cast<float>();
  lagged_.solve_lower(rounded);
  control.poll();
  Z_ = rounded.cast<double>();
  if (!Z_.allFinite()) return false;
  capacitance_.setZero(k + f, k + f);
  add_lower_product(1.0, Z_.transpose(), n_threads_, capacitance_);
  capacitance_.diagonal().head(k).array() += 1.0;
  inner_.resize(k + f);
  return factor_in_place(capacitance_, n_threads_, control);
}

void InteriorSystem::precondition(const Vector& r, Vector& out) {
  const double scale = r.norm();  // floats have a smaller range too
  rounded_.col(0) = (r / scale).cast<float>();
  lagged_.solve_lower(rounded_);
  out = rounded_.col(0).cast<double>();
  inner_.noalias() = Z_.transpose() * out;
  solve_factored(capacitance_, inner_);
  out.noalias() -= Z_ * inner_;
  rounded_.col(0) = out.cast<float>();
  lagged_.solve_upper(rounded_);
  out = scale * rounded_.col(0).cast<double>();
  project_out(free_, out);
}

void InteriorSystem::product(const WorkingSet& working, const Vector& v, Control& control,
                             Vector& out) {
  samples_ = root_.cwiseProduct(v);
  op_.gradients(working.blocks, samples_, Precision::accurate, control, coefs_.data());
  for (Index j = 0; j < working.size(); ++j) {
    auto z = coefs_.segment(working.starts[j], working.rows(j));
    const auto w = w_.segment(working.starts[j], working.rows(j));
    const double along = 2.0 * w.dot(z);
    z = a_[j] * (z + along * w);
  }
  op_.forward(working.blocks, coefs_.data(), Precision::accurate, samples_);
  out = v + root_.cwiseProduct(samples_);
  project_out(free_, out);
}

bool InteriorSystem::solve_iteratively(const WorkingSet& working, const Vector& r, double tolerance,
                                       Control& control, Vector& v) {
  projected_ = r;
  project_out(free_, projected_);
  const auto apply = [&](const Vector& x, Vector& out) { product(working, x, control, out); };
  const auto inverse = [&](const Vector& x, Vector& out) { precondition(x, out); };
  ConjugateGradients::Goal goal;
  goal.norm = tolerance;
  const auto outcome =
      gradients_.solve(r.size(), projected_, apply, inverse, goal, kMaxIterations, control, v);
  const double seconds = gradient_seconds_ * static_cast<double>(outcome.iterations);
  recent_ += seconds;
  spent_ += seconds;
  return outcome.reached;
}

bool InteriorSystem::factor(const WorkingSet& working, Control& control) {
  const double least = kNegligible * a_.maxCoeff();
  std::vector<Index> blocks;
  std::vector<double> scales, directions;
  for (Index j = 0; j < working.size(); ++j) {
    const auto w = w_.segment(working.starts[j], working.rows(j));
    if (a_[j] * (1.0 + 2.0 * w.squaredNorm()) < least) continue;
    blocks.push_back(working.blocks[j]);
    scales.push_back(a_[j]);
    for (const double value : w) directions.push_back(std::sqrt(2.0 * a_[j]) * value);
  }
  const Eigen::Map<const Vector> a(scales.data(), static_cast<Index>(scales.size()));
  if (!exact_.factor(blocks, a, directions.data(), 1.0, root_, control)) return false;
  free_solved_ = free_;
  if (free_.cols() > 0) exact_.solve_lower(free_solved_);
  return true;
}

void InteriorSystem::solve_factored_system(const Vector& r, Vector& v) {
  v = r;
  exact_.solve_lower(v);
  if (free_.cols() > 0) {
    Matrix schur = free_solved_.transpose() * free_solved_;
    Vector along = free_solved_.transpose() * v;
    factor_in_place(schur);
    solve_factored(schur, along);
    v -= free_solved_ * along;
  }
  exact_.solve_upper(v);
}

bool InteriorSystem::solve(const WorkingSet& working, const Vector& r, double tolerance,
                           Control& control, Vector& v) {
  if (!by_factor_) {
    if (solve_iteratively(working, r, tolerance, control, v)) return true;
    by_factor_ = true;
    if (!factor(working, control)) return false;
  }
  solve_factored_system(r, v);
  return true;
}

}  // namespace cvxnn
