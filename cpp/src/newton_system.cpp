#include "cvxnn/newton_system.hpp"

#include <Eigen/Cholesky>
#include <algorithm>

#include "cvxnn/cost_model.hpp"

namespace cvxnn {

NewtonSystem::NewtonSystem(const Operator& op, BlockSpectra& spectra)
    : op_(op), spectra_(spectra) {}

void NewtonSystem::reserve(const WorkingSet& working) {
  const Index n_blocks = working.size(), n_coefs = working.coefs.size();
  positions_.reserve(n_blocks);
  blocks_.reserve(n_blocks);
  spectrum_.reserve(n_blocks);
  starts_.reserve(n_blocks + 1);
  for (Vector* v : {&kappa_, &correction_}) v->resize(n_blocks);
  for (Vector* v :
       {&unit_, &rotated_, &scaled_unit_, &residual_, &preconditioned_, &search_, &image_}) {
    v->resize(n_coefs);
  }
  root_.resize(op_.n_samples());
  samples_.resize(op_.n_samples(), 1);
}

void NewtonSystem::set(const WorkingSet& working, const Vector& W, ConstVectorRef h) {
  root_ = h.cwiseSqrt();
  positions_.clear();
  blocks_.clear();
  spectrum_.clear();
  bounded_.clear();
  bounded_blocks_.clear();
  starts_.resize(1);
  for (Index j = 0; j < working.size(); ++j) {
    const auto w = working.block(W, j).col(0);
    if (w.isZero(0.0)) continue;
    const Index a = n_blocks();
    positions_.push_back(j);
    blocks_.push_back(working.blocks[j]);
    spectrum_.push_back(&spectra_[working.blocks[j]]);
    starts_.push_back(starts_.back() + working.rows(j));

    const BlockSpectrum& spectrum = *spectrum_[a];
    const double norm = w.norm();
    part(unit_, a) = w / norm;
    kappa_[a] = working.alphas[j] / norm;
    if (!spectrum.exact()) {
      bounded_.push_back(a);
      bounded_blocks_.push_back(working.blocks[j]);
      continue;
    }
    // (diag(values + kappa) - kappa u u^T)^-1 by Sherman and Morrison, in the eigenvectors.
    auto u = part(scaled_unit_, a);
    u.noalias() = spectrum.vectors.transpose() * unit(a);
    const auto shifted = spectrum.values.array() + kappa_[a];
    // 1 - kappa u^T diag^-1 u without cancellation; zero where A_b W_b = 0, which stays as it is.
    const double rest = (u.array().square() * spectrum.values.array() / shifted).sum();
    u.array() /= shifted;
    correction_[a] = kappa_[a] / std::max(rest, 1e-12);
  }
  set_coarse();
}

// U^T B^T B U over the bounded blocks, a strip of samples at a time.
void NewtonSystem::set_coarse() {
  constexpr Index kStrip = 512;
  const Index n = op_.n_samples(), m = static_cast<Index>(bounded_.size());
  if (m == 0) return;
  Vector units(0);
  for (const Index a : bounded_) {
    units.conservativeResize(units.size() + length(a));
    units.tail(length(a)) = unit(a);
  }
  coarse_ = Matrix::Zero(m, m);
  Matrix images(std::min(kStrip, n), m);
  for (Index first = 0; first < n; first += kStrip) {
    auto strip = images.topRows(std::min(kStrip, n - first));
    op_.images(bounded_blocks_, units.data(), first, strip);
    strip = root_.segment(first, strip.rows()).asDiagonal() * strip;
    coarse_.selfadjointView<Eigen::Lower>().rankUpdate(strip.transpose());
  }
  // Equal patterns, or a block whose u_j does nothing, must not make it singular.
  coarse_.diagonal().array() += 1e-10 * coarse_.diagonal().maxCoeff() + 1e-300;
  Eigen::LLT<Eigen::Ref<Matrix>> factor(coarse_);
  if (factor.info() != Eigen::Success) coarse_.setIdentity();
  along_.resize(m);
}

void NewtonSystem::precondition_bounded(const Vector& v, Vector& out) {
  const Index m = static_cast<Index>(bounded_.size());
  if (m == 0) return;
  for (Index k = 0; k < m; ++k) along_[k] = unit(bounded_[k]).dot(part(v, bounded_[k]));
  for (Index k = 0; k < m; ++k) {
    const Index a = bounded_[k];
    part(out, a) = (part(v, a) - along_[k] * unit(a)) / (kappa_[a] + spectrum_[a]->mean);
  }
  coarse_.triangularView<Eigen::Lower>().solveInPlace(along_);
  coarse_.triangularView<Eigen::Lower>().transpose().solveInPlace(along_);
  for (Index k = 0; k < m; ++k) part(out, bounded_[k]) += along_[k] * unit(bounded_[k]);
}

void NewtonSystem::precondition(const Vector& v, Vector& out) {
  precondition_bounded(v, out);
  for (Index a = 0; a < n_blocks(); ++a) {
    const BlockSpectrum& spectrum = *spectrum_[a];
    if (!spectrum.exact()) continue;
    auto w = part(rotated_, a);
    const auto u = part(scaled_unit_, a);
    w.noalias() = spectrum.vectors.transpose() * part(v, a);
    const double along = correction_[a] * u.dot(w);
    w.array() /= spectrum.values.array() + kappa_[a];
    w += along * u;
    part(out, a).noalias() = spectrum.vectors * w;
  }
}

void NewtonSystem::apply(const Vector& y, Unpenalised& free, Precision precision, Control& control,
                         Vector& out) {
  op_.forward(blocks_, y.data(), precision, samples_);
  samples_.array() *= root_.array();
  free.project_weighted(samples_);
  samples_.array() *= root_.array();
  op_.gradients(blocks_, samples_, precision, control, out.data());
  for (Index a = 0; a < n_blocks(); ++a) {
    const double along = unit(a).dot(part(y, a));
    part(out, a) += kappa_[a] * (part(y, a) - along * unit(a));
  }
}

void NewtonSystem::solve(const Vector& rhs, double tolerance, Index max_iterations,
                         Unpenalised& free, Precision precision, Control& control, Vector& y,
                         Matrix& Ay) {
  const Index m = size();
  y.head(m).setZero();
  residual_.head(m) = rhs.head(m);
  precondition(residual_, preconditioned_);
  search_.head(m) = preconditioned_.head(m);
  double rho = residual_.head(m).dot(preconditioned_.head(m));
  const double goal = tolerance * tolerance * rho;
  double rotations = 0.0;
  for (const BlockSpectrum* spectrum : spectrum_) {
    rotations += 2.0 * static_cast<double>(spectrum->vectors.size());
  }
  const double iteration_seconds =
      cost::products(op_.n_samples(), 2 * m) + cost::streamed(rotations);
  for (Index n = 0; n < max_iterations && rho > goal; ++n) {
    apply(search_, free, precision, control, image_);
    const double curvature = search_.head(m).dot(image_.head(m));
    if (!(curvature > 0.0)) break;
    const double length = rho / curvature;
    y.head(m) += length * search_.head(m);
    residual_.head(m) -= length * image_.head(m);
    precondition(residual_, preconditioned_);
    const double next = residual_.head(m).dot(preconditioned_.head(m));
    search_.head(m) = preconditioned_.head(m) + (next / rho) * search_.head(m);
    rho = next;
    effort_ += iteration_seconds;
    control.poll();
  }
  op_.forward(blocks_, y.data(), precision, Ay);
}

}  // namespace cvxnn
