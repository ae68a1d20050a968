#include "cvxnn/face_system.hpp"

#include <algorithm>
#include <cmath>

#include "cvxnn/cholesky.hpp"
#include "cvxnn/cost_model.hpp"
#include "cvxnn/sample_system.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr Index kMaxOrder = 8192;
constexpr Index kMaxIterations = 300;
constexpr Index kFewIterations = 20;  // that are expected, while nobody knows
constexpr double kTolerance = 0.1;

Index total_dimension(const std::vector<Face>& faces) {
  Index sum = 0;
  for (const Face& face : faces) sum += face.dimension();
  return sum;
}

}  // namespace

// Q Q^T is what is not across the face: no Q is needed.
void Face::apply(VectorRef g, Vector& room) const {
  const auto B = cone->across();
  auto inner = room.head(B.cols());
  const double along = w.dot(g);
  inner.noalias() = B.transpose() * g;
  g.noalias() -= B * inner;
  g *= scale * scale * a * a;
  g += scale * scale * (1.0 - a * a) * along * w;
}

Matrix Face::root() const {
  Matrix D = cone->face();
  const Vector along = D.transpose() * w;
  D *= scale * a;
  D.noalias() += scale * (1.0 - a) * w * along.transpose();
  return D;
}

void FaceSystem::start() { n_iterations_ = kFewIterations; }

Vector FaceSystem::solve(const std::vector<Index>& blocks, const std::vector<Face>& faces,
                         const Vector& root, const Matrix& free, double sigma, const Vector& b,
                         Control& control) {
  if (total_dimension(faces) == 0) return b;
  if (factoring_pays(faces)) return by_factors(blocks, faces, root, free, sigma, b, control);
  return by_conjugate_gradients(blocks, faces, root, free, sigma, b, control);
}

// While sigma is small, systems are well-conditioned and large: as many iterations as last time.
bool FaceSystem::factoring_pays(const std::vector<Face>& faces) const {
  const double n = static_cast<double>(op_.n_samples());
  const double r = static_cast<double>(total_dimension(faces));
  const double side = std::min(n, r), other = std::max(n, r);
  if (n * r > max_entries_ || side > static_cast<double>(kMaxOrder)) return false;
  Index n_coefs = 0, n_entries = 0;
  for (const Face& face : faces) {
    n_coefs += face.size();
    n_entries += face.size() * face.dimension();
  }
  const double entries = static_cast<double>(n_entries);
  const double iteration =
      cost::products(op_.n_samples(), 2 * n_coefs) + cost::streamed(2.0 * entries);
  const double dense = side * side * (0.5 * other + side / 6.0) + n * entries;
  return dense / cost::kDenseRate < static_cast<double>(n_iterations_) * iteration;
}

// In n or in r dimensions, whichever are fewer; b itself where rounding spoils the factorisation.
Vector FaceSystem::by_factors(const std::vector<Index>& blocks, const std::vector<Face>& faces,
                              const Vector& root, const Matrix& free, double sigma, const Vector& b,
                              Control& control) const {
  std::vector<Matrix> roots(faces.size());
  double work = 0.0;
  for (const Face& face : faces) work += std::pow(static_cast<double>(face.size()), 3);
  parallel_for(static_cast<Index>(faces.size()), worthwhile_threads(work, n_threads_),
               [&](Index k, int) { roots[k] = faces[k].root(); });
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
                                          const std::vector<Face>& faces, const Vector& root,
                                          const Matrix& free, double sigma, const Vector& b,
                                          Control& control) {
  Index n_coefs = 0, largest = 0;
  for (const Face& face : faces) {
    n_coefs += face.size();
    largest = std::max(largest, face.size());
  }
  Vector coefs(n_coefs), room(largest);
  Matrix image(op_.n_samples(), 1);
  const auto product = [&](const Vector& v, Vector& out) {
    image = root.cwiseProduct(v);
    op_.gradients(blocks, image, Precision::accurate, control, coefs.data());
    Index first = 0;
    for (const Face& face : faces) {
      face.apply(coefs.segment(first, face.size()), room);
      first += face.size();
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
