#include "cvxnn/face_system.hpp"

#include <algorithm>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/cost_model.hpp"
#include "cvxnn/sample_system.hpp"

namespace cvxnn {
namespace {
constexpr Index kMaxOrder = 8192;
constexpr Index kMaxIterations = 300;
constexpr Index kFewIterations = 20;  // that are expected, while nobody knows
constexpr double kTolerance = 0.1;

Index total_columns(const std::vector<Matrix>& roots) {
  Index sum = 0;
  for (const Matrix& D : roots) sum += D.cols();
  return sum;
}

}  // namespace

void FaceSystem::start() { n_iterations_ = kFewIterations; }

Vector FaceSystem::solve(const std::vector<Index>& blocks, const std::vector<Matrix>& roots,
                         const Vector& root, const Matrix& free, double sigma, const Vector& b,
                         Control& control) {
  if (total_columns(roots) == 0) return b;
  if (factoring_pays(roots)) return by_factors(blocks, roots, root, free, sigma, b, control);
  return by_conjugate_gradients(blocks, roots, root, free, sigma, b, control);
}

// While sigma is small, systems are well-conditioned and large: as many iterations as last time.
bool FaceSystem::factoring_pays(const std::vector<Matrix>& roots) const {
  const double n = static_cast<double>(op_.n_samples());
  const double r = static_cast<double>(total_columns(roots));
  const double side = std::min(n, r), other = std::max(n, r);
  if (n * r > max_entries_ || side > static_cast<double>(kMaxOrder)) return false;
  Index n_coefs = 0, n_entries = 0;
  for (const Matrix& D : roots) {
    n_coefs += D.rows();
    n_entries += D.size();
  }
  const double entries = static_cast<double>(n_entries);
  const double iteration =
      cost::products(op_.n_samples(), 2 * n_coefs) + cost::streamed(2.0 * entries);
  const double dense = side * side * (0.5 * other + side / 6.0) + n * entries;
  return dense / cost::kDenseRate < static_cast<double>(n_iterations_) * iteration;
}

// In n or in r dimensions, whichever are fewer; b itself where rounding spoils the factorisation.
Vector FaceSystem::by_factors(const std::vector<Index>& blocks, const std::vector<Matrix>& roots,
                              const Vector& root, const Matrix& free, double sigma, const Vector& b,
                              Control& control) const {
  std::vector<Index> columns;  // the block of each
  std::vector<double> coefs;
  for (std::size_t k = 0; k < roots.size(); ++k) {
    columns.insert(columns.end(), static_cast<std::size_t>(roots[k].cols()), blocks[k]);
    coefs.insert(coefs.end(), roots[k].data(), roots[k].data() + roots[k].size());
  }
  const Index n = op_.n_samples(), r = static_cast<Index>(columns.size());
  Matrix C;
  block_images(op_, columns, coefs.data(), n_threads_, C);
  C.array().colwise() *= root.array();
  project_out(free, C);
  control.poll();
  Vector x = b;
  if (r <= n) {
    Matrix K = Matrix::Zero(r, r);
    K.diagonal().setConstant(1.0 / sigma);
    add_lower_product(1.0, C.transpose(), n_threads_, K);
    Vector inner = C.transpose() * b;
    if (!factor_in_place(K, n_threads_, control)) return x;
    solve_factored(K, inner);
    x.noalias() -= C * inner;
    return x;
  }
  Matrix K = Matrix::Identity(n, n);
  add_lower_product(sigma, C, n_threads_, K);
  if (factor_in_place(K, n_threads_, control)) solve_factored(K, x);
  return x;
}

Vector FaceSystem::by_conjugate_gradients(const std::vector<Index>& blocks,
                                          const std::vector<Matrix>& roots, const Vector& root,
                                          const Matrix& free, double sigma, const Vector& b,
                                          Control& control) {
  Index n_coefs = 0, largest = 0;
  for (const Matrix& D : roots) {
    n_coefs += D.rows();
    largest = std::max(largest, D.cols());
  }
  Vector coefs(n_coefs), inner(largest);
  Matrix image(op_.n_samples(), 1);
  const auto product = [&](const Vector& v, Vector& out) {
    image = root.cwiseProduct(v);
    op_.gradients(blocks, image, Precision::accurate, control, coefs.data());
    Index first = 0;
    for (const Matrix& D : roots) {
      auto segment = coefs.segment(first, D.rows());
      auto along = inner.head(D.cols());
      along.noalias() = D.transpose() * segment;
      segment.noalias() = D * along;
      first += D.rows();
    }
    op_.forward(blocks, coefs.data(), Precision::accurate, image);
    image.array() *= root.array();
    project_out(free, image);
    out = v + sigma * image.col(0);
  };
  const auto identity = [](const Vector& v, Vector& out) { out = v; };
  gradients_.reserve(b.size());
  ConjugateGradients::Goal goal;
  goal.norm = kTolerance * b.norm();
  Vector x = Vector::Zero(b.size());
  n_iterations_ =
      gradients_.solve(b.size(), b, product, identity, goal, kMaxIterations, control, x).iterations;
  return x;
}

}  // namespace cvxnn
