#include "cvxnn/newton_system.hpp"

#include <algorithm>

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
    // (diag(values + kappa) - kappa u u^T)^-1 by Sherman and Morrison, in the eigenvectors.
    auto u = part(scaled_unit_, a);
    if (spectrum.exact()) {
      u.noalias() = spectrum.vectors.transpose() * unit(a);
    } else {
      u = unit(a);
    }
    const auto shifted = spectrum.values.array() + kappa_[a];
    // 1 - kappa u^T diag^-1 u without cancellation; zero where A_b W_b = 0, which stays as it is.
    const double rest = (u.array().square() * spectrum.values.array() / shifted).sum();
    u.array() /= shifted;
    correction_[a] = kappa_[a] / std::max(rest, 1e-12);
  }
}

void NewtonSystem::precondition(const Vector& v, Vector& out) {
  for (Index a = 0; a < n_blocks(); ++a) {
    const BlockSpectrum& spectrum = *spectrum_[a];
    auto w = part(rotated_, a);
    const auto u = part(scaled_unit_, a);
    if (spectrum.exact()) {
      w.noalias() = spectrum.vectors.transpose() * part(v, a);
    } else {
      w = part(v, a);
    }
    const double along = correction_[a] * u.dot(w);
    w.array() /= spectrum.values.array() + kappa_[a];
    w += along * u;
    if (spectrum.exact()) {
      part(out, a).noalias() = spectrum.vectors * w;
    } else {
      part(out, a) = w;
    }
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
    control.poll();
  }
  op_.forward(blocks_, y.data(), precision, Ay);
}

}  // namespace cvxnn
