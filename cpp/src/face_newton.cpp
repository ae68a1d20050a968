#include "cvxnn/face_newton.hpp"

#include <Eigen/Cholesky>
#include <algorithm>

namespace cvxnn {
namespace {

constexpr int kSteps = 20;
constexpr int kHalvings = 30;
constexpr double kToZero = 0.9;   // of the way to where a block's norm vanishes
constexpr double kRidge = 1e-14;  // of the largest diagonal entry: optima may not be unique
constexpr double kSmall = 1e-15;  // relative decrease at which steps are rounding

}  // namespace

void minimise_on_faces(const Matrix& B, const Vector& tau, const std::vector<Face>& faces,
                       Index most, Vector& y) {
  std::vector<Index> starts{0};
  for (const Face& face : faces) starts.push_back(starts.back() + face.basis.cols());
  const Index size = starts.back();
  if (size > most) return;
  Matrix C(B.rows(), size);  // B basis
  Vector z(size);
  for (std::size_t j = 0; j < faces.size(); ++j) {
    const Matrix& basis = faces[j].basis;
    C.middleCols(starts[j], basis.cols()) = B.middleCols(faces[j].first, basis.rows()) * basis;
    z.segment(starts[j], basis.cols()) =
        basis.transpose() * y.segment(faces[j].first, basis.rows());
  }
  const auto part = [&](Vector& v, std::size_t j) {
    return v.segment(starts[j], starts[j + 1] - starts[j]);
  };
  const auto objective = [&](Vector& v) {
    double sum = 0.5 * (tau - C * v).squaredNorm();
    for (std::size_t j = 0; j < faces.size(); ++j) sum += part(v, j).norm();
    return sum;
  };

  const Matrix gram = C.transpose() * C;
  double before = objective(z);
  for (int step = 0; step < kSteps && size > 0; ++step) {
    Vector gradient = C.transpose() * (C * z - tau);
    Matrix hessian = gram;
    for (std::size_t j = 0; j < faces.size(); ++j) {
      const Index dimension = starts[j + 1] - starts[j];
      const double norm = part(z, j).norm();
      if (!(norm > 0.0)) continue;
      const Vector unit = part(z, j) / norm;
      part(gradient, j) += unit;
      hessian.block(starts[j], starts[j], dimension, dimension) +=
          (Matrix::Identity(dimension, dimension) - unit * unit.transpose()) / norm;
    }
    hessian.diagonal().array() += kRidge * hessian.diagonal().maxCoeff();
    const Eigen::LLT<Matrix> factor(hessian);
    if (factor.info() != Eigen::Success) break;
    Vector move = factor.solve(-gradient);
    double length = 1.0;
    for (std::size_t j = 0; j < faces.size(); ++j) {
      const double along = -part(z, j).dot(part(move, j)), squared = part(z, j).squaredNorm();
      if (along > kToZero * squared) length = std::min(length, kToZero * squared / along);
    }
    Vector next;
    double after = before;
    for (int halving = 0; halving < kHalvings; ++halving, length *= 0.5) {
      next = z + length * move;
      after = objective(next);
      if (after <= before) break;
    }
    if (!(after <= before)) break;
    z = next;
    const bool ended = before - after <= kSmall * before;
    before = after;
    if (ended) break;
  }
  y.setZero();
  for (std::size_t j = 0; j < faces.size(); ++j) {
    y.segment(faces[j].first, faces[j].basis.rows()) = faces[j].basis * part(z, j);
  }
}

}  // namespace cvxnn
