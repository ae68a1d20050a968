#include "cvxnn/cone_interior_point.hpp"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr Index kMaxIterations = 80;
constexpr Index kPatience = 15;  // iterations without a better gap
constexpr double kFar = 10.0;    // targets away from the solution: near enough to start from again
constexpr double kClose = 1e-3;  // relative gap at which faces are likely to be known
constexpr Index kLargestFaces = 2000;   // coefficients on them
constexpr double kIndependent = 1e-10;  // relative size of a pivot among tight half-spaces
constexpr double kShift = 1e-15, kLargestShift = 1e-8;  // relative, of Newton's matrix
constexpr double kToBoundary = 0.99;  // share of the step to the boundary that is taken

// The largest s for which v + s d stays positive.
double largest_step(const Matrix& v, const Matrix& d) {
  if (v.size() == 0) return std::numeric_limits<double>::infinity();
  const double steepest = (-d.array() / v.array()).maxCoeff();
  return steepest > 0.0 ? 1.0 / steepest : std::numeric_limits<double>::infinity();
}

}  // namespace

// H_j y_j for every block; all have as many rows and features.
Matrix ConeInteriorPoint::half_space_products(const Vector& y) const {
  const DataMatrix<double>& rows = op_.cones()->rows();
  Matrix out = rows * ConstMatrixMap(y.data(), rows.cols(), signs_.cols());
  out.array() *= signs_.array();
  return out;
}

// H_j^T rho_j for every block.
Vector ConeInteriorPoint::half_space_sums(const Matrix& rho) const {
  const Matrix sums = op_.cones()->rows().transpose() * rho.cwiseProduct(signs_);
  return Eigen::Map<const Vector>(sums.data(), sums.size());
}

void ConeInteriorPoint::set_model(const WorkingSet& working, const Unpenalised& free,
                                  const QuadraticModel& model) {
  const Index n = op_.n_samples(), m = working.size(), n_coefs = working.coefs.size();
  const Index n_rows = op_.cones()->rows().rows();
  const Vector root = model.h.cwiseSqrt();
  signs_.resize(n_rows, m);
  B_.resize(n, n_coefs);
  parallel_for(m, n_threads_, [&](Index j, int) {
    op_.cones()->signs(working.blocks[j], signs_.col(j));
    auto B = B_.middleCols(working.starts[j], working.rows(j));
    op_.dense_block(working.blocks[j], B);
    B = (root / working.alphas[j]).asDiagonal() * B;
  });
  tau_.resize(n);
  for (Index i = 0; i < n; ++i) {
    tau_[i] = root[i] > 0.0 ? model.Theta0(i, 0) / root[i] + root[i] * model.F0(i, 0) : 0.0;
  }
  if (free.size() > 0) {
    const Matrix& Q = free.basis();
    B_ -= Q * (Q.transpose() * B_);
    tau_ -= Q * (Q.transpose() * tau_);
  }
  gram_.setZero(n_coefs, n_coefs);
  add_lower_product(1.0, B_.transpose(), n_threads_, gram_);
}

bool ConeInteriorPoint::resume(const WorkingSet& working, Index j) {
  const auto found = places_.find(working.blocks[j]);
  if (found == places_.end()) return false;
  const Place& place = found->second;
  const double factor = working.alphas[j] / place.alpha;  // y is alpha times the coefficients
  heads_[j] = factor * place.head;
  y_.segment(working.starts[j], working.rows(j)) = factor * place.y;
  z_.segment(working.starts[j], working.rows(j)) = place.z;
  slacks_.col(j) = factor * place.slacks;
  rho_.col(j) = place.rho / factor;
  return true;
}

void ConeInteriorPoint::remember(const WorkingSet& working) {
  places_.clear();
  for (Index j = 0; j < working.size(); ++j) {
    const Index first = working.starts[j], d = working.rows(j);
    places_[working.blocks[j]] = {working.alphas[j],    heads_[j],      y_.segment(first, d),
                                  z_.segment(first, d), slacks_.col(j), rho_.col(j)};
  }
}

// A block that is new starts at the centre c of its cone: there sum_k h_k / (h_k^T c) = n_rows c,
// so that y = t c with t = 2 n_rows mu, and rho = mu / slacks, have H^T rho = c / 2 and all
// products mu.
void ConeInteriorPoint::start(const WorkingSet& working) {
  const Index m = working.size(), n_coefs = working.coefs.size(), n_rows = signs_.rows();
  const double rows = static_cast<double>(std::max<Index>(n_rows, 1));
  for (Vector* v : {&directions_, &lambda_, &y_, &z_}) v->setZero(n_coefs);
  for (Vector* v : {&heads_, &lambda_heads_}) v->resize(m);
  for (Direction* d : {&predictor_, &step_}) {
    d->heads.resize(m);
    d->tails.resize(n_coefs);
    d->z.resize(n_coefs);
  }
  scalings_.reserve(m);
  slacks_.resize(n_rows, m);
  rho_.resize(n_rows, m);

  std::vector<Index> fresh;
  double products = 0.0;
  for (Index j = 0; j < m; ++j) {
    if (!resume(working, j)) {
      fresh.push_back(j);
      continue;
    }
    const Index first = working.starts[j], d = working.rows(j);
    products += heads_[j] - y_.segment(first, d).dot(z_.segment(first, d)) +
                slacks_.col(j).dot(rho_.col(j));
  }
  const Index n_old = m - static_cast<Index>(fresh.size());
  Matrix images(B_.rows(), static_cast<Index>(fresh.size()));
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    Vector& centre = centres_[working.blocks[fresh[i]]];
    if (centre.size() == 0) centre = op_.cones()->centre(working.blocks[fresh[i]]);
    images.col(i) = B_.middleCols(working.starts[fresh[i]], working.rows(fresh[i])) * centre;
  }
  // Without old blocks: a penalty of the size of the loss at zero, a fit of that of its target.
  double mu = products / (static_cast<double>(n_old) * (rows + 1.0));
  if (n_old == 0) {
    const double loss = 0.5 * tau_.squaredNorm(), fit = images.colwise().norm().sum();
    const double t = std::min(2.0 * loss / static_cast<double>(m), tau_.norm() / fit);
    mu = t > 0.0 && std::isfinite(t) ? t / rows : 1.0;
  }
  for (const Index j : fresh) {
    const Index first = working.starts[j], d = working.rows(j);
    const double t = 2.0 * rows * mu;
    auto y = y_.segment(first, d);
    y = t * centres_[working.blocks[j]];
    heads_[j] = 0.5 * (mu + std::sqrt(mu * mu + 4.0 * y.squaredNorm()));
    z_.segment(first, d) = y / heads_[j];
    const Matrix slacks = op_.cones()->rows() * y;
    slacks_.col(j) = slacks.cwiseProduct(signs_.col(j)).cwiseMax(1e-3 * mu);
    rho_.col(j) = mu * slacks_.col(j).cwiseInverse();
  }
}

void ConeInteriorPoint::residuals() {
  const Vector r = tau_ - B_ * y_;
  dual_residual_ = B_.transpose() * r + half_space_sums(rho_) - z_;
  slack_residual_ = half_space_products(y_) - slacks_;
}

double ConeInteriorPoint::complementarity() const {
  const double sum = heads_.sum() - y_.dot(z_) + slacks_.cwiseProduct(rho_).sum();
  return sum / static_cast<double>(heads_.size() + slacks_.size());
}

// The duality gap where the residuals vanish, and at least what they may take away from it.
double ConeInteriorPoint::gap() const {
  return heads_.sum() - y_.dot(z_) + slacks_.cwiseProduct(rho_).sum() +
         y_.cwiseProduct(dual_residual_).cwiseAbs().sum() +
         rho_.cwiseProduct(slack_residual_).cwiseAbs().sum();
}

// The scalings at this point, and the factor of B^T B + diag(M_j + H_j^T diag(rho / slacks) H_j).
bool ConeInteriorPoint::factor(const WorkingSet& working, Control& control) {
  const Index m = working.size();
  scalings_.clear();
  for (Index j = 0; j < m; ++j) {
    const Index first = working.starts[j], d = working.rows(j);
    const auto y = y_.segment(first, d), z = z_.segment(first, d);
    if (!(cone_determinant(heads_[j], y) > 0.0 && cone_determinant(1.0, z) > 0.0)) return false;
    scalings_.emplace_back(heads_[j], y, 1.0, -z, directions_.data() + first);
    lambda_heads_[j] = 1.0;
    lambda_.segment(first, d) = -z;
    scalings_[j].apply(lambda_heads_[j], lambda_.segment(first, d));
  }
  // Near the solution the matrix is singular to rounding; refinement makes up for a small shift.
  for (double shift = kShift; shift <= kLargestShift; shift *= 100.0) {
    newton_ = gram_;
    add_blocks(working);
    newton_.diagonal() *= 1.0 + shift;
    control.poll();
    if (factor_in_place(newton_, n_threads_, control)) return true;
  }
  return false;
}

// newton_ += diag(M_j + H_j^T diag(rho / slacks) H_j), lower triangle.
void ConeInteriorPoint::add_blocks(const WorkingSet& working) {
  const DataMatrix<double>& rows = op_.cones()->rows();
  parallel_for(working.size(), n_threads_, [&](Index j, int) {
    const Index d = working.rows(j);
    const Vector root = (rho_.col(j).array() / slacks_.col(j).array()).sqrt();
    const Matrix scaled = root.asDiagonal() * rows;
    Matrix hessian = Matrix::Zero(d, d);
    hessian.selfadjointView<Eigen::Lower>().rankUpdate(scaled.transpose());
    scalings_[j].add_hessian(hessian);
    newton_.block(working.starts[j], working.starts[j], d, d).triangularView<Eigen::Lower>() +=
        hessian;
  });
}

// The product with the matrix that factor() factored.
Vector ConeInteriorPoint::newton_product(const WorkingSet& working, const Matrix& ratio,
                                         const Vector& v) const {
  Vector out =
      B_.transpose() * (B_ * v) + half_space_sums(ratio.cwiseProduct(half_space_products(v)));
  for (Index j = 0; j < working.size(); ++j) {
    const Index first = working.starts[j], d = working.rows(j);
    scalings_[j].add_product(v.segment(first, d), out.segment(first, d));
  }
  return out;
}

// Newton's direction towards complementarity `centre`; the corrector adds the second-order terms of
// the predictor.
void ConeInteriorPoint::direction(const WorkingSet& working, double centre, bool corrector,
                                  Direction& out) {
  Matrix pull = -rho_;  // what complementarity asks of slacks and rho together, over slacks
  if (corrector) {
    pull.array() += (centre - predictor_.slacks.array() * predictor_.rho.array()) / slacks_.array();
  }
  const Matrix ratio = rho_.cwiseQuotient(slacks_);
  Vector rhs = dual_residual_ + half_space_sums(pull - ratio.cwiseProduct(slack_residual_));
  for (Index j = 0; j < working.size(); ++j) {
    const Index first = working.starts[j], d = working.rows(j);
    const auto lambda = lambda_.segment(first, d);
    double& head = out.heads[j];
    auto tail = out.tails.segment(first, d);
    head = -lambda_heads_[j];
    tail = -lambda;
    if (corrector) {
      add_corrector(scalings_[j], lambda_heads_[j], lambda, centre, predictor_.heads[j],
                    predictor_.tails.segment(first, d), -predictor_.z.segment(first, d), head,
                    tail);
    }
    scalings_[j].eliminate_head(head, tail);
  }
  rhs -= out.tails;
  out.tails = rhs;
  solve_factored(newton_, out.tails);
  // Once more on the residual: near the solution the matrix holds entries of very different size.
  rhs -= newton_product(working, ratio, out.tails);
  solve_factored(newton_, rhs);
  out.tails += rhs;
  out.slacks = half_space_products(out.tails) + slack_residual_;
  out.rho = pull - ratio.cwiseProduct(out.slacks);
  out.z = dual_residual_ - B_.transpose() * (B_ * out.tails) + half_space_sums(out.rho);
  for (Index j = 0; j < working.size(); ++j) {
    const auto tail = out.tails.segment(working.starts[j], working.rows(j));
    out.heads[j] = scalings_[j].head_step(out.heads[j], tail);
  }
}

double ConeInteriorPoint::step_length(const WorkingSet& working, const Direction& d) const {
  double step = std::min(largest_step(slacks_, d.slacks), largest_step(rho_, d.rho));
  for (Index j = 0; j < working.size(); ++j) {
    const auto part = [&](const Vector& v) {
      return v.segment(working.starts[j], working.rows(j));
    };
    step = std::min(step, cvxnn::largest_step(heads_[j], part(y_), d.heads[j], part(d.tails)));
    step = std::min(step, cvxnn::largest_step(1.0, -part(z_), 0.0, -part(d.z)));
  }
  return step;
}

// A block is zero at the solution where, along the central path, its norm vanishes and not the
// slack of its dual constraint.
bool ConeInteriorPoint::active(const WorkingSet& working, Index j) const {
  const Index first = working.starts[j], d = working.rows(j);
  const double norm = y_.segment(first, d).norm();
  return 1.0 - z_.segment(first, d).norm() < (heads_[j] + norm) / heads_.maxCoeff();
}

// The face of an active block: a half-space is tight where its slack vanishes and not its
// multiplier.
std::vector<Face> ConeInteriorPoint::faces(const WorkingSet& working) const {
  const DataMatrix<double>& rows = op_.cones()->rows();
  std::vector<Face> out;
  for (Index j = 0; j < working.size(); ++j) {
    const Index first = working.starts[j], d = working.rows(j);
    if (!active(working, j)) continue;
    const double norm = y_.segment(first, d).norm();
    std::vector<Index> tight;
    for (Index k = 0; k < rows.rows(); ++k) {
      if (slacks_(k, j) < norm * rho_(k, j)) tight.push_back(k);
    }
    Matrix normals(d, static_cast<Index>(tight.size()));
    for (std::size_t k = 0; k < tight.size(); ++k) normals.col(k) = rows.row(tight[k]);
    if (tight.empty()) {
      out.push_back({first, Matrix::Identity(d, d)});
      continue;
    }
    Eigen::ColPivHouseholderQR<Matrix> qr(normals);
    qr.setThreshold(kIndependent);
    const Matrix Q = qr.householderQ();
    if (qr.rank() < d) out.push_back({first, Q.rightCols(d - qr.rank())});
  }
  return out;
}

double ConeInteriorPoint::objective(const WorkingSet& working, const Vector& y) const {
  double sum = 0.5 * (tau_ - B_ * y).squaredNorm();
  for (Index j = 0; j < working.size(); ++j) {
    sum += y.segment(working.starts[j], working.rows(j)).norm();
  }
  return sum;
}

void ConeInteriorPoint::project(const WorkingSet& working, Vector& y) const {
  parallel_for(working.size(), n_threads_, [&](Index j, int) {
    auto block = y.segment(working.starts[j], working.rows(j));
    if (block.isZero(0.0)) return;
    if (!op_.cones()->project(working.blocks[j], block)) block.setZero();
  });
}

// The better of two solutions in the cones: that of the path, and the minimum over the faces that
// the path leads to.
void ConeInteriorPoint::finish(const WorkingSet& working, double gap, Vector& W) {
  Vector best = y_;
  for (Index j = 0; j < working.size(); ++j) {
    if (!active(working, j)) best.segment(working.starts[j], working.rows(j)).setZero();
  }
  Vector polished = best;
  project(working, best);
  if (gap < kClose * heads_.sum()) {
    minimise_on_faces(B_, tau_, faces(working), kLargestFaces, polished);
    project(working, polished);
    if (objective(working, polished) < objective(working, best)) best = polished;
  }
  for (Index j = 0; j < working.size(); ++j) {
    const Index first = working.starts[j], d = working.rows(j);
    W.segment(first, d) = best.segment(first, d) / working.alphas[j];
  }
}

// Predictor and corrector until the gap is at most `target`; returns the number of iterations.
Index ConeInteriorPoint::follow_path(const WorkingSet& working, double target, Control& control) {
  double lowest = std::numeric_limits<double>::infinity();
  Index n = 0;
  residuals();
  for (Index idle = 0; n < kMaxIterations && idle < kPatience && lowest > target; ++n) {
    if (!factor(working, control)) break;
    direction(working, 0.0, false, predictor_);
    const double affine = std::min(1.0, step_length(working, predictor_));
    direction(working, std::pow(1.0 - affine, 3) * complementarity(), true, step_);
    const double step = std::min(1.0, kToBoundary * step_length(working, step_));
    if (!(step > 0.0)) break;
    heads_ += step * step_.heads;
    y_ += step * step_.tails;
    z_ += step * step_.z;
    slacks_ += step * step_.slacks;
    rho_ += step * step_.rho;
    residuals();
    ++idle;
    const double now = gap();
    if (now < lowest) {
      lowest = now;
      idle = 0;
    }
    if (now > kFar * target) remember(working);
  }
  return n;
}

Index ConeInteriorPoint::minimise(const WorkingSet& working, Vector& W, Unpenalised& free,
                                  QuadraticModel& model, double target, Control& control,
                                  Matrix& Theta) {
  Index n = 0;
  Theta.resize(0, 0);
  if (working.size() > 0) {
    set_model(working, free, model);
    const bool resumed = !places_.empty();
    start(working);
    n = follow_path(working, target, control);
    // Where the last call left off can be too near the boundary: then once more from the centres.
    if (resumed && gap() > target) {
      places_.clear();
      start(working);
      n += follow_path(working, target, control);
    }
    Theta = model.h.cwiseSqrt().asDiagonal() * (tau_ - B_ * y_);
    finish(working, gap(), W);
  }
  op_.forward(working.blocks, W.data(), Precision::accurate, model.F);
  if (free.size() > 0) model.F.noalias() += free.columns() * free.coefs();
  model.R = model.Theta0 - model.h.asDiagonal() * (model.F - model.F0);
  free.fit(model.F, model.R);
  return n;
}

}  // namespace cvxnn
