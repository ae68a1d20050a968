#include "cvxnn/enumeration.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_map>
#include <vector>

#include "cvxnn/errors.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr double kParallel = 1e-10;   // distance of traces that are one
constexpr double kSameAngle = 1e-11;  // and of directions in the plane
constexpr double kInside = 1e-12;     // least distance of a point from a hyperplane
constexpr int kAttempts = 20;

// A fraction away from both ends: a point at a regular place of a regular arrangement may lie on a
// hyperplane that comes later.
double fraction(std::mt19937_64& engine) {
  return std::uniform_real_distribution<double>(0.3, 0.7)(engine);
}

Vector random_direction(Index size, std::mt19937_64& engine) {
  std::normal_distribution<double> normal;
  return Vector::NullaryExpr(size, [&] { return normal(engine); }).normalized();
}

// Points and the sides on which they lie, one of each cell.
class Cells {
 public:
  Cells(Index rank, Index n_rows) : rank_(rank), n_words_(word_count(n_rows)) {}

  Index size() const { return static_cast<Index>(points_.size()) / rank_; }
  Eigen::Map<const Vector> point(Index j) const { return {points_.data() + j * rank_, rank_}; }

  // Unless another point of its cell is there. False where the point is on a hyperplane.
  bool add(const DataMatrix<double>& rows, ConstVectorRef point) {
    sides_.assign(n_words_, 0);
    for (Index k = 0; k < rows.rows(); ++k) {
      const double side = rows.row(k).dot(point);
      if (std::abs(side) < kInside) return false;
      if (side > 0.0) sides_[k / kWordBits] |= Word{1} << (k % kWordBits);
    }
    add_sides(sides_.data(), point.data());
    return true;
  }

  void add(const Cells& other) {
    for (Index j = 0; j < other.size(); ++j) {
      add_sides(other.words_.data() + j * n_words_, other.points_.data() + j * rank_);
    }
  }

  Matrix points() const { return ConstMatrixMap(points_.data(), rank_, size()); }

 private:
  void add_sides(const Word* sides, const double* point) {
    Word hash = 0x9E3779B97F4A7C15ULL;
    for (Index w = 0; w < n_words_; ++w) {
      hash = (hash ^ sides[w]) * 0xFF51AFD7ED558CCDULL;
      hash ^= hash >> 32;
    }
    const auto [first, last] = seen_.equal_range(hash);
    const bool known = std::any_of(first, last, [&](const auto& entry) {
      return std::equal(sides, sides + n_words_, words_.data() + entry.second * n_words_);
    });
    if (known) return;
    seen_.emplace(hash, size());
    words_.insert(words_.end(), sides, sides + n_words_);
    points_.insert(points_.end(), point, point + rank_);
  }

  Index rank_, n_words_;
  std::vector<double> points_;
  std::vector<Word> words_, sides_;
  std::unordered_multimap<Word, Index> seen_;
};

// A point in each arc that lines through the origin cut out of the circle.
Matrix plane_points(const DataMatrix<double>& rows, std::mt19937_64& engine) {
  constexpr double kPi = 3.14159265358979323846;
  std::vector<double> angles;  // of the lines, in [0, pi)
  for (Index k = 0; k < rows.rows(); ++k) {
    const double angle = std::atan2(rows(k, 0), -rows(k, 1));
    angles.push_back(angle < 0.0 ? angle + kPi : angle >= kPi ? angle - kPi : angle);
  }
  std::sort(angles.begin(), angles.end());
  std::vector<double> lines;
  for (const double angle : angles) {
    if (lines.empty() || angle - lines.back() > kSameAngle) lines.push_back(angle);
  }
  if (lines.size() > 1 && lines.front() + kPi - lines.back() <= kSameAngle) lines.pop_back();
  const Index q = static_cast<Index>(lines.size());
  if (q == 0) return Matrix(random_direction(2, engine));
  Matrix points(2, 2 * q);
  for (Index i = 0; i < q; ++i) {
    const double next = i + 1 < q ? lines[i + 1] : lines[0] + kPi;
    const double angle = lines[i] + fraction(engine) * (next - lines[i]);
    points.col(i) << std::cos(angle), std::sin(angle);
    points.col(q + i) = -points.col(i);
  }
  return points;
}

// Orthonormal columns that span the complement of the unit vector h.
Matrix complement(ConstVectorRef h) {
  Vector v = h;
  v[0] += h[0] >= 0.0 ? 1.0 : -1.0;
  const Matrix reflection =
      Matrix::Identity(h.size(), h.size()) - 2.0 / v.squaredNorm() * v * v.transpose();
  return reflection.rightCols(h.size() - 1);
}

Matrix points_of(const DataMatrix<double>& rows, std::mt19937_64& engine);

// Two points, one on either side of hyperplane k, for each cell of the hyperplanes before it that
// it cuts.
void add_cut_cells(const DataMatrix<double>& rows, Index k, std::mt19937_64& engine, Cells& cells) {
  const Vector h = rows.row(k);
  const Matrix basis = complement(h);
  DataMatrix<double> before = rows.topRows(k), traces = before * basis;
  traces.rowwise().normalize();
  if (basis.cols() > 2) traces = distinct_hyperplanes(traces, kParallel);
  const Matrix on_h = basis * points_of(traces, engine);
  const Vector slopes = (before * h).cwiseAbs();
  for (Index j = 0; j < on_h.cols(); ++j) {
    const Vector p = on_h.col(j);
    double reach = 1.0;
    for (Index i = 0; i < k; ++i) {
      const double height = std::abs(before.row(i).dot(p));
      if (slopes[i] * reach > height) reach = height / slopes[i];
    }
    for (const double side : {1.0, -1.0}) {
      bool inside = false;
      for (int attempt = 0; attempt < kAttempts && !inside; ++attempt) {
        inside = cells.add(rows, (p + side * fraction(engine) * reach * h).normalized());
      }
      if (!inside) throw NumericalError("X has cells too thin for float64 to find a point in them");
    }
  }
}

// rows: distinct hyperplanes of any rank in at least two dimensions.
Matrix points_of(const DataMatrix<double>& rows, std::mt19937_64& engine) {
  if (rows.cols() == 2) return plane_points(rows, engine);
  if (rows.rows() == 0) return Matrix(random_direction(rows.cols(), engine));
  Cells cells(rows.cols(), rows.rows());
  for (Index k = 0; k < rows.rows(); ++k) add_cut_cells(rows, k, engine, cells);
  return cells.points();
}

}  // namespace

double cell_bound(Index n_rows, Index rank) {
  if (n_rows == 0) return 1.0;
  double sum = 0.0, binomial = 1.0;
  for (Index k = 0; k < rank && k < n_rows; ++k) {
    sum += binomial;
    binomial *= static_cast<double>(n_rows - 1 - k) / static_cast<double>(k + 1);
  }
  return 2.0 * sum;
}

DataMatrix<double> distinct_hyperplanes(const DataMatrix<double>& rows, double tolerance) {
  DataMatrix<double> kept(rows.rows(), rows.cols());
  Index count = 0;
  for (Index i = 0; i < rows.rows(); ++i) {
    const Vector row = rows.row(i).transpose().stableNormalized();
    bool distinct = !row.isZero(0.0);
    for (Index k = 0; k < count && distinct; ++k) {
      const double along = kept.row(k).dot(row);
      if (std::abs(along) < 0.999) continue;
      distinct = (row - (along > 0.0 ? 1.0 : -1.0) * kept.row(k).transpose()).norm() > tolerance;
    }
    if (distinct) kept.row(count++) = row;
  }
  kept.conservativeResize(count, rows.cols());
  return kept;
}

Matrix cell_points(const DataMatrix<double>& rows, int n_threads, Control& control) {
  std::mt19937_64 engine(0);
  if (rows.rows() == 0) return Matrix(random_direction(rows.cols(), engine));
  if (rows.cols() == 1) return Matrix(Eigen::RowVector2d(1.0, -1.0));
  if (rows.cols() == 2) return plane_points(rows, engine);
  Cells cells(rows.cols(), rows.rows());
  const Index wave = 4 * std::max(1, n_threads);
  for (Index first = 0; first < rows.rows(); first += wave) {
    const Index count = std::min(wave, rows.rows() - first);
    std::vector<Cells> parts(count, Cells(rows.cols(), rows.rows()));
    parallel_for(count, n_threads, [&](Index task, int) {
      std::mt19937_64 own(static_cast<std::uint64_t>(first + task));
      add_cut_cells(rows, first + task, own, parts[task]);
    });
    for (const Cells& part : parts) cells.add(part);
    control.poll();
  }
  return cells.points();
}

}  // namespace cvxnn
