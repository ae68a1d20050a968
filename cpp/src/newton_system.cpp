#include "cvxnn/newton_system.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/cost_model.hpp"

namespace cvxnn {

NewtonSystem::NewtonSystem(const Operator& op, BlockSpectra& spectra, int n_threads)
    : op_(op),
      spectra_(spectra),
      n_threads_(n_threads),
      features_(op.common_features()),
      kronecker_(n_threads),
      sample_system_(op, n_threads) {}

void NewtonSystem::reserve(const WorkingSet& working) {
  const Index n_blocks = working.size(), n_coefs = working.coefs.size();
  positions_.reserve(n_blocks);
  blocks_.reserve(n_blocks);
  spectrum_.reserve(n_blocks);
  starts_.reserve(n_blocks + 1);
  for (Vector* v : {&kappa_, &ridge_, &correction_}) v->resize(n_blocks);
  for (Vector* v : {&unit_, &rotated_, &scaled_unit_, &across_}) v->resize(n_coefs);
  gradients_.reserve(n_coefs);
  root_.resize(op_.n_samples());
  n_outputs_ = working.n_outputs;
  samples_.resize(op_.n_samples(), n_outputs_);
}

void NewtonSystem::set(const WorkingSet& working, const Vector& W, ConstVectorRef h,
                       ProfiledHessian* hessian) {
  root_ = h.cwiseSqrt();
  hessian_ = hessian;
  positions_.clear();
  blocks_.clear();
  spectrum_.clear();
  starts_.resize(1);
  for (Index j = 0; j < working.size(); ++j) {
    const auto w = working.entries(W, j);
    if (w.isZero(0.0)) continue;
    const Index a = n_blocks();
    positions_.push_back(j);
    blocks_.push_back(working.blocks[j]);
    starts_.push_back(starts_.back() + w.size());
    const double norm = w.norm();
    part(unit_, a) = w / norm;
    kappa_[a] = working.penalties[j].level / norm;
    ridge_[a] = working.penalties[j].ridge;
  }
  const CommonFeatures* features =
      n_outputs_ == 1 || hessian != nullptr ? op_.common_features() : nullptr;
  by_kronecker_ = features != nullptr && n_blocks() > 0 &&
                  std::max(features->n_features(), n_blocks()) <= KroneckerInverse::kLargestSide;
  if (by_kronecker_) return prepare_features(h);
  spectra_.prepare(blocks_, h);
  for (const Index b : blocks_) spectrum_.push_back(&spectra_[b]);
}

// Of several outputs each is taken to have a share of the mean curvature.
void NewtonSystem::prepare_features(ConstVectorRef h) {
  Matrix curvatures = h;
  if (hessian_ != nullptr) curvatures = hessian_->hessian().main_diagonal();
  if (!features_.ready()) {
    const Vector mean = curvatures.rowwise().mean();
    features_.prepare(mean);
    features_curvature_ = mean.sum();
    const Index d = op_.common_features()->n_features();
    effort_ += cost::gram(2 * op_.n_samples(), d) + cost::eigenvectors(d);
  }
  scales_ = curvatures.colwise().sum();
  if (features_curvature_ > 0.0) scales_ /= features_curvature_;
}

void NewtonSystem::clear() {
  features_.clear();
  kronecker_.clear();
}

void NewtonSystem::set_kronecker() {
  const Index m = n_blocks();
  Matrix overlap(m, m);
  op_.common_features()->overlaps(blocks_, overlap);
  const Index columns = m * n_outputs_;
  const ConstMatrixMap units(unit_.data(), size() / columns, columns);
  kronecker_.set(features_, scales_, std::move(overlap), kappa_.head(m), ridge_.head(m), units);
  effort_ += kronecker_.set_work() / cost::kDenseRate;
}

void NewtonSystem::set_diagonal_blocks() {
  for (Index a = 0; a < n_blocks(); ++a) {
    const BlockSpectrum& spectrum = *spectrum_[a];
    if (!spectrum.exact()) continue;
    // (diag(values + ridge + kappa) - kappa u u^T)^-1 by Sherman and Morrison, in the eigenvectors.
    MatrixMap u = block(scaled_unit_, a);
    u.noalias() = spectrum.vectors.transpose() * block(unit_, a);
    const auto values = spectrum.values.array() + ridge_[a];
    const auto shifted = values + kappa_[a];
    // 1 - kappa u^T diag^-1 u without cancellation; zero where A_b W_b = 0, which stays as it is.
    const double rest = (u.rowwise().squaredNorm().array() * values / shifted).sum();
    u = shifted.inverse().matrix().asDiagonal() * u;
    correction_[a] = kappa_[a] / std::max(rest, 1e-12);
  }
}

void NewtonSystem::precondition(const Vector& v, Vector& out) {
  if (by_kronecker_) {
    out.head(size()) = v.head(size());
    const Index columns = n_blocks() * n_outputs_;
    kronecker_.apply(MatrixMap(out.data(), size() / columns, columns));
    return;
  }
  for (Index a = 0; a < n_blocks(); ++a) {
    const BlockSpectrum& spectrum = *spectrum_[a];
    if (!spectrum.exact()) {  // too large to decompose: its mean eigenvalue instead
      const double along = unit(a).dot(part(v, a)), mean = spectrum.mean + ridge_[a];
      part(out, a) = (part(v, a) + kappa_[a] / mean * along * unit(a)) / (kappa_[a] + mean);
      continue;
    }
    MatrixMap w = block(rotated_, a);
    w.noalias() = spectrum.vectors.transpose() * block(v, a);
    const double along = correction_[a] * part(scaled_unit_, a).dot(part(rotated_, a));
    const auto shifted = spectrum.values.array() + (kappa_[a] + ridge_[a]);
    w = shifted.inverse().matrix().asDiagonal() * w;
    w += along * block(scaled_unit_, a);
    block(out, a).noalias() = spectrum.vectors * w;
  }
}

void NewtonSystem::curve(Unpenalised& free, Matrix& fit) const {
  if (hessian_ != nullptr) return hessian_->apply(fit);
  fit = root_.asDiagonal() * fit;
  free.project_weighted(fit);
  fit = root_.asDiagonal() * fit;
}

void NewtonSystem::apply(const Vector& y, Unpenalised& free, Precision precision, Control& control,
                         Vector& out) {
  op_.forward(blocks_, y.data(), precision, samples_);
  curve(free, samples_);
  op_.gradients(blocks_, samples_, precision, control, out.data());
  for (Index a = 0; a < n_blocks(); ++a) {
    const double along = unit(a).dot(part(y, a));
    part(out, a) += kappa_[a] * (part(y, a) - along * unit(a)) + ridge_[a] * part(y, a);
  }
}

double NewtonSystem::direct_seconds(Index n_free) const {
  const double n = static_cast<double>(op_.n_samples()), m = static_cast<double>(n_blocks());
  if (n_outputs_ > 1 || op_.n_samples() > kMaxSystemSamples) {
    return std::numeric_limits<double>::infinity();
  }
  const double dense = n * n * (n / 6.0 + 1.5 * m + static_cast<double>(n_free));
  return dense / cost::kDenseRate + 0.5 * n * n * m / cost::kTableRate;
}

// With q = B y: (I + N) q = B U c + E l + B P r and (B U)^T q + ridge c = U^T r, E^T q = 0, where E
// spans the unpenalised block, P_j = (I - u_j u_j^T) / (kappa_j + ridge_j) inverts D_j across u_j
// and N = B P B^T; then y_j = c_j u_j + P_j (r_j - B_j^T q).
bool NewtonSystem::solve_directly(const Vector& rhs, Unpenalised& free, Control& control, Vector& y,
                                  Matrix& Ay) {
  const Index n = op_.n_samples(), m = n_blocks(), f = free.basis().cols();
  const Vector inverted = kappa_.head(m) + ridge_.head(m);
  const auto across = [&](Vector& v) {  // v_j <- P_j v_j
    for (Index a = 0; a < m; ++a) {
      const double along = unit(a).dot(part(v, a));
      part(v, a) = (part(v, a) - along * unit(a)) / inverted[a];
    }
  };
  across_.head(size()) = unit_.head(size());
  for (Index a = 0; a < m; ++a) part(across_, a) /= std::sqrt(inverted[a]);
  const Vector scales = inverted.cwiseInverse();
  if (!sample_system_.factor(blocks_, scales, across_.data(), -1.0, root_, control)) return false;

  // L^-1 (B U, E) and L^-1 B P r, with L L^T = I + N.
  Matrix Z(n, m + f);
  block_images(op_, blocks_, unit_.data(), n_threads_, Ay);
  Z.leftCols(m) = root_.asDiagonal() * Ay;
  if (f > 0) Z.rightCols(f) = free.basis();
  sample_system_.solve_lower(Z);
  y.head(size()) = rhs.head(size());
  across(y);
  Ay.resize(n, 1);
  op_.forward(blocks_, y.data(), Precision::accurate, Ay);
  samples_.col(0) = root_.asDiagonal() * Ay;
  sample_system_.solve_lower(samples_);

  Matrix schur = Matrix::Zero(m + f, m + f);
  schur.selfadjointView<Eigen::Lower>().rankUpdate(Z.transpose());
  schur.diagonal().array() += 1e-14 * schur.trace();  // patterns may be equal
  schur.diagonal().head(m) += ridge_.head(m);
  Vector v = -Z.transpose() * samples_;
  for (Index a = 0; a < m; ++a) v[a] += unit(a).dot(part(rhs, a));
  if (!factor_in_place(schur)) return false;
  solve_factored(schur, v);
  samples_.noalias() += Z * v;
  sample_system_.solve_upper(samples_);

  samples_.array() *= root_.array();
  op_.gradients(blocks_, samples_, Precision::accurate, control, y.data());
  y.head(size()) = rhs.head(size()) - y.head(size());
  across(y);
  for (Index a = 0; a < m; ++a) part(y, a) += v[a] * unit(a);
  op_.forward(blocks_, y.data(), Precision::accurate, Ay);
  return Ay.allFinite();
}

void NewtonSystem::solve(const Vector& rhs, double tolerance, Index max_iterations,
                         Unpenalised& free, Precision precision, Control& control, Vector& y,
                         Matrix& Ay) {
  const Index m = size();
  double iteration_seconds = cost::products(op_.n_samples(), 2 * m);
  if (by_kronecker_) {
    iteration_seconds +=
        KroneckerInverse::work(size() / (n_blocks() * n_outputs_), n_blocks(), n_outputs_) /
        cost::kDenseRate;
  } else {
    double rotations = 0.0;
    for (const BlockSpectrum* spectrum : spectrum_) {
      rotations += 2.0 * static_cast<double>(spectrum->vectors.size() * n_outputs_);
    }
    iteration_seconds += cost::streamed(rotations);
  }
  const double direct = direct_seconds(free.basis().cols());
  if (static_cast<double>(last_iterations_) * iteration_seconds > direct) {
    effort_ += direct;
    if (solve_directly(rhs, free, control, y, Ay)) return;
  }
  by_kronecker_ ? set_kronecker() : set_diagonal_blocks();

  y.head(m).setZero();
  const auto product = [&](const Vector& v, Vector& out) {
    apply(v, free, precision, control, out);
  };
  const auto inverse = [&](const Vector& v, Vector& out) { precondition(v, out); };
  ConjugateGradients::Goal goal;
  goal.share = tolerance * tolerance;
  last_iterations_ =
      gradients_.solve(m, rhs, product, inverse, goal, max_iterations, control, y).iterations;
  effort_ += iteration_seconds * static_cast<double>(last_iterations_);
  op_.forward(blocks_, y.data(), precision, Ay);
}

}  // namespace cvxnn
