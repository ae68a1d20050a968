#include "cvxnn/cone_projection.hpp"

#include <Eigen/QR>
#include <algorithm>

namespace cvxnn {
namespace {
constexpr double kFeasible = 1e-13;     // of ||a||: violations that are rounding
constexpr double kIndependent = 1e-11;  // of a row that may join the passive ones
constexpr Index kPivotsPerFeature = 50;
}  // namespace

ConeProjection::ConeProjection(Index n_features)
    : basis_(n_features, n_features),
      triangle_(n_features, n_features),
      row_(n_features),
      along_(n_features),
      solution_(n_features),
      projection_(n_features) {}

// Gram-Schmidt, twice.
bool ConeProjection::append(const DataMatrix<double>& x, const Vector& signs, Index row) {
  const Index k = static_cast<Index>(passive_.size());
  if (k == basis_.rows()) return false;
  row_ = signs[row] * x.row(row).transpose();
  auto column = triangle_.col(k).head(k);
  column.setZero();
  for (int pass = 0; pass < 2; ++pass) {
    along_.head(k).noalias() = basis_.leftCols(k).transpose() * row_;
    row_.noalias() -= basis_.leftCols(k) * along_.head(k);
    column += along_.head(k);
  }
  const double norm = row_.norm();
  if (!(norm > kIndependent)) return false;
  basis_.col(k) = row_ / norm;
  triangle_(k, k) = norm;
  passive_.push_back(row);
  rho_.push_back(0.0);
  return true;
}

void ConeProjection::remove(const DataMatrix<double>& x, const Vector& signs, Index position) {
  std::vector<Index> rows(passive_.begin() + position + 1, passive_.end());
  std::vector<double> rho(rho_.begin() + position + 1, rho_.end());
  passive_.resize(position);
  rho_.resize(position);
  for (std::size_t j = 0; j < rows.size(); ++j) {
    if (append(x, signs, rows[j])) rho_.back() = rho[j];
  }
}

// The projection on the orthogonal complement of the passive rows, and their multipliers there.
void ConeProjection::solve(ConstVectorRef a) {
  const Index k = static_cast<Index>(passive_.size());
  const auto Q = basis_.leftCols(k);
  along_.head(k).noalias() = Q.transpose() * a;
  projection_ = a;
  projection_.noalias() -= Q * along_.head(k);
  solution_.head(k) = -along_.head(k);
  triangle_.topLeftCorner(k, k).triangularView<Eigen::Upper>().solveInPlace(solution_.head(k));
  along_.head(k).noalias() = Q.transpose() * projection_;
  projection_.noalias() -= Q * along_.head(k);
}

// From the multipliers of before towards those of solve(), leaving rows behind where theirs vanish.
void ConeProjection::back_to_boundary(const DataMatrix<double>& x, const Vector& signs,
                                      ConstVectorRef a) {
  for (;;) {
    solve(a);
    const Index k = static_cast<Index>(passive_.size());
    double step = 1.0;
    Index leaving = -1;
    for (Index j = 0; j < k; ++j) {
      if (solution_[j] > 0.0) continue;
      const double to_zero = rho_[j] > 0.0 ? rho_[j] / (rho_[j] - solution_[j]) : 0.0;
      if (leaving < 0 || to_zero < step) step = to_zero, leaving = j;
    }
    for (Index j = 0; j < k; ++j) rho_[j] += step * (solution_[j] - rho_[j]);
    if (leaving < 0) return;
    remove(x, signs, leaving);
  }
}

bool ConeProjection::project(const DataMatrix<double>& x, const Vector& signs, VectorRef a,
                             bool warm) {
  const double norm = a.norm();
  const std::vector<Index> before = warm ? passive_ : std::vector<Index>();
  passive_.clear();
  rho_.clear();
  for (const Index row : before) append(x, signs, row);
  for (solve(a);;) {  // until what remains has multipliers of one sign
    Index least = 0;
    const Index k = static_cast<Index>(passive_.size());
    if (k == 0 || solution_.head(k).minCoeff(&least) > 0.0) {
      for (Index j = 0; j < k; ++j) rho_[j] = solution_[j];
      break;
    }
    remove(x, signs, least);
    solve(a);
  }

  barred_.clear();
  const Index limit = kPivotsPerFeature * (1 + basis_.rows());
  for (Index pivot = 0; pivot < limit; ++pivot) {
    products_.noalias() = x * projection_;
    products_.array() *= signs.array();
    for (const Index row : barred_) products_[row] = 0.0;
    Index entering = 0;
    if (products_.minCoeff(&entering) >= -kFeasible * norm) {
      a = projection_;
      return barred_.empty();
    }
    if (!append(x, signs, entering)) {
      barred_.push_back(entering);
      continue;
    }
    const Index before_pivot = static_cast<Index>(passive_.size());
    back_to_boundary(x, signs, a);
    const bool stayed =
        static_cast<Index>(passive_.size()) == before_pivot || passive_.back() == entering;
    stayed ? barred_.clear() : barred_.push_back(entering);
  }
  a = projection_;
  return false;
}

Vector inside(const DataMatrix<double>& x, const Vector& signs, ConstVectorRef point) {
  constexpr double kWithin = 0.5;  // of the way to the nearest other wall
  const Vector unit = point.stableNormalized();
  const Vector margins = (x * unit).cwiseProduct(signs);
  std::vector<Index> tight;
  for (Index k = 0; k < margins.size(); ++k) {
    if (margins[k] <= kOnWall && !x.row(k).isZero(0.0)) tight.push_back(k);
  }
  if (tight.empty()) return unit;
  Matrix walls(static_cast<Index>(tight.size()), x.cols());
  for (std::size_t j = 0; j < tight.size(); ++j) {
    walls.row(static_cast<Index>(j)) = signs[tight[j]] * x.row(tight[j]);
  }
  const Vector away =
      Eigen::CompleteOrthogonalDecomposition<Matrix>(walls).solve(Vector::Ones(walls.rows()));
  const Vector slopes = (x * away).cwiseProduct(signs);
  double reach = 1.0 / away.norm();
  for (Index k = 0; k < margins.size(); ++k) {
    if (margins[k] > kOnWall && slopes[k] < 0.0) reach = std::min(reach, margins[k] / -slopes[k]);
  }
  return (unit + kWithin * reach * away).normalized();
}

}  // namespace cvxnn
