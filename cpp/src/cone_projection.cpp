#include "cvxnn/cone_projection.hpp"

#include <Eigen/Jacobi>
#include <Eigen/QR>
#include <algorithm>

namespace cvxnn {
namespace {
constexpr double kFeasible = 1e-13;     // of ||a||: violations that are rounding
constexpr double kIndependent = 1e-11;  // of a row that may join the passive ones
constexpr double kKept = 0.7;           // of a row's norm, that needs no second pass
constexpr double kNear = 0.1;           // of the largest violation, that is worth a look
constexpr Index kPivotsPerFeature = 50;
}  // namespace

ConeProjection::ConeProjection(Index n_features)
    : basis_(n_features, n_features),
      triangle_(n_features, n_features),
      row_(n_features),
      along_(n_features),
      coordinates_(n_features),
      solution_(n_features),
      projection_(n_features) {}

// Gram-Schmidt, again where the first pass left little (Giraud and others 2005).
bool ConeProjection::append(const DataMatrix<double>& x, const Vector& signs, Index row) {
  const Index k = static_cast<Index>(passive_.size());
  if (k == basis_.rows()) return false;
  row_ = signs[row] * x.row(row).transpose();
  auto column = triangle_.col(k).head(k);
  column.setZero();
  double before = 1.0, norm = 0.0;
  for (int pass = 0; pass < 2; ++pass, before = norm) {
    along_.head(k).noalias() = basis_.leftCols(k).transpose() * row_;
    row_.noalias() -= basis_.leftCols(k) * along_.head(k);
    column += along_.head(k);
    norm = row_.norm();
    if (norm > kKept * before) break;
  }
  if (!(norm > kIndependent)) return false;
  basis_.col(k) = row_ / norm;
  triangle_(k, k) = norm;
  passive_.push_back(row);
  rho_.push_back(0.0);
  coordinates_[k] = basis_.col(k).dot(projection_);
  projection_ -= coordinates_[k] * basis_.col(k);
  return true;
}

// Rotations make the factor triangular again (Golub and Van Loan 2013, sec. 6.5.2).
void ConeProjection::remove(Index position) {
  const Index left = static_cast<Index>(passive_.size()) - 1;
  passive_.erase(passive_.begin() + position);
  rho_.erase(rho_.begin() + position);
  for (Index k = position; k < left; ++k) {
    triangle_.col(k).head(k + 2) = triangle_.col(k + 1).head(k + 2);
  }
  for (Index k = position; k < left; ++k) {
    Eigen::JacobiRotation<double> rotation;
    rotation.makeGivens(triangle_(k, k), triangle_(k + 1, k));
    triangle_.block(k, k, 2, left - k).applyOnTheLeft(0, 1, rotation.adjoint());
    basis_.applyOnTheRight(k, k + 1, rotation);
    coordinates_.applyOnTheLeft(k, k + 1, rotation.adjoint());
  }
  projection_ += coordinates_[left] * basis_.col(left);
}

// The projection of a on the orthogonal complement of the passive rows. Rows that come and go
// change it by one column of the basis; this forgets what rounding has added up.
void ConeProjection::refresh(ConstVectorRef a) {
  const Index k = static_cast<Index>(passive_.size());
  const auto Q = basis_.leftCols(k);
  coordinates_.head(k).noalias() = Q.transpose() * a;
  projection_ = a;
  projection_.noalias() -= Q * coordinates_.head(k);
  along_.head(k).noalias() = Q.transpose() * projection_;
  projection_.noalias() -= Q * along_.head(k);
}

// The multipliers of the passive rows at the projection.
void ConeProjection::solve() {
  const Index k = static_cast<Index>(passive_.size());
  solution_.head(k) = -coordinates_.head(k);
  triangle_.topLeftCorner(k, k).triangularView<Eigen::Upper>().solveInPlace(solution_.head(k));
}

// From the multipliers of before towards those of solve(), leaving rows behind where theirs vanish.
void ConeProjection::back_to_boundary() {
  for (;;) {
    solve();
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
    remove(leaving);
  }
}

Matrix ConeProjection::face() const {
  const Index d = basis_.rows(), k = static_cast<Index>(passive_.size());
  Matrix columns = Matrix::Identity(d, d).rightCols(d - k);
  if (k > 0) {
    columns.applyOnTheLeft(Eigen::HouseholderQR<Matrix>(across()).householderQ());
  }
  return columns;
}

bool ConeProjection::project(const DataMatrix<double>& x, const Vector& signs, VectorRef a,
                             bool warm) {
  begin_with(x, signs, warm ? std::vector<Index>(passive_) : std::vector<Index>());
  return resume(x, signs, a);
}

void ConeProjection::begin_with(const DataMatrix<double>& x, const Vector& signs,
                                const std::vector<Index>& rows) {
  passive_.clear();
  rho_.clear();
  projection_.setZero();
  for (const Index row : rows) append(x, signs, row);
}

// The rows that the projection violates most, as many as there are features.
void ConeProjection::gather_violated(const DataMatrix<double>& x, const Vector& signs,
                                     double tolerance) {
  products_.noalias() = x * projection_;
  products_.array() *= signs.array();
  for (const Index row : barred_) products_[row] = 0.0;
  const double least = products_.size() > 0 ? products_.minCoeff() : 0.0;
  const double bound = std::min(-tolerance, kNear * least);
  near_.resize(static_cast<std::size_t>(products_.size()));
  std::size_t count = 0;
  for (Index k = 0; k < products_.size(); ++k) {  // no branch: half of them may be violated
    near_[count] = k;
    count += products_[k] < bound ? 1U : 0U;
  }
  near_.resize(count);
  const std::size_t most = static_cast<std::size_t>(x.cols());
  if (near_.size() > most) {
    std::nth_element(near_.begin(), near_.begin() + most, near_.end(), [&](Index a, Index b) {
      return products_[a] < products_[b] || (products_[a] == products_[b] && a < b);
    });
    near_.resize(most);
    std::sort(near_.begin(), near_.end());
  }
  near_rows_.resize(static_cast<Index>(near_.size()), x.cols());
  for (std::size_t k = 0; k < near_.size(); ++k) {
    near_rows_.row(static_cast<Index>(k)) = signs[near_[k]] * x.row(near_[k]);
  }
}

// Among all rows only where none of those gathered is violated any more; -1 where none is at all.
Index ConeProjection::most_violated(const DataMatrix<double>& x, const Vector& signs,
                                    ConstVectorRef a, double tolerance) {
  for (const bool all : {false, true}) {
    if (all) {
      refresh(a);
      gather_violated(x, signs, tolerance);
    }
    if (near_.empty()) continue;
    near_products_.noalias() = near_rows_ * projection_;
    for (std::size_t k = 0; k < near_.size(); ++k) {
      if (std::find(barred_.begin(), barred_.end(), near_[k]) != barred_.end()) {
        near_products_[static_cast<Index>(k)] = 0.0;
      }
    }
    Index least = 0;
    if (near_products_.minCoeff(&least) < -tolerance) return near_[least];
  }
  return -1;
}

bool ConeProjection::resume(const DataMatrix<double>& x, const Vector& signs, VectorRef a,
                            double enough) {
  const double tolerance = kFeasible * a.norm();
  for (refresh(a);;) {  // until what remains has multipliers of one sign
    solve();
    Index least = 0;
    const Index k = static_cast<Index>(passive_.size());
    if (k == 0 || solution_.head(k).minCoeff(&least) > 0.0) {
      for (Index j = 0; j < k; ++j) rho_[j] = solution_[j];
      break;
    }
    remove(least);
  }

  barred_.clear();
  near_.clear();
  const Index limit = kPivotsPerFeature * (1 + basis_.rows());
  bool inside = false;
  for (Index pivot = 0; pivot < limit; ++pivot) {
    if (enough > 0.0 && projection_.norm() <= enough) break;
    const Index entering = most_violated(x, signs, a, tolerance);
    if (entering < 0) {
      inside = barred_.empty();
      break;
    }
    if (!append(x, signs, entering)) {
      barred_.push_back(entering);
      continue;
    }
    const Index before_pivot = static_cast<Index>(passive_.size());
    back_to_boundary();
    const bool stayed =
        static_cast<Index>(passive_.size()) == before_pivot || passive_.back() == entering;
    stayed ? barred_.clear() : barred_.push_back(entering);
  }
  a = projection_;
  return inside;
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
