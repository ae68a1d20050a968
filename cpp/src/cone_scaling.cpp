#include "cvxnn/cone_scaling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cvxnn {

double cone_determinant(double head, ConstVectorRef tail) {
  const double norm = tail.norm();
  return (head - norm) * (head + norm);
}

ConeScaling::ConeScaling(double x_head, ConstVectorRef x_tail, double s_head, ConstVectorRef s_tail,
                         double* w)
    : w_(w), size_(x_tail.size()) {
  const double x_root = std::sqrt(cone_determinant(x_head, x_tail));
  const double s_root = std::sqrt(cone_determinant(s_head, s_tail));
  eta_ = std::sqrt(x_root / s_root);
  const double inner = x_head / x_root * (s_head / s_root) + (x_tail / x_root).dot(s_tail / s_root);
  const double gamma = std::sqrt(0.5 * (1.0 + inner));
  w0_ = (x_head / x_root + s_head / s_root) / (2.0 * gamma);
  Eigen::Map<Vector>(w_, size_) = (x_tail / x_root - s_tail / s_root) / (2.0 * gamma);
}

void ConeScaling::apply(double& head, VectorRef tail) const {
  const double along = w().dot(tail);
  tail = eta_ * (tail + (head + along / (1.0 + w0_)) * w());
  head = eta_ * (w0_ * head + along);
}

void ConeScaling::apply_inverse(double& head, VectorRef tail) const {
  const double along = w().dot(tail);
  tail = (tail + (along / (1.0 + w0_) - head) * w()) / eta_;
  head = (w0_ * head - along) / eta_;
}

void jordan_product(double a_head, ConstVectorRef a_tail, double& b_head, VectorRef b_tail) {
  const double head = a_head * b_head + a_tail.dot(b_tail);
  b_tail = a_head * b_tail + b_head * a_tail;
  b_head = head;
}

void jordan_divide(double a_head, ConstVectorRef a_tail, double& b_head, VectorRef b_tail) {
  b_head = (a_head * b_head - a_tail.dot(b_tail)) / cone_determinant(a_head, a_tail);
  b_tail = (b_tail - b_head * a_tail) / a_head;
}

// The smallest positive root of det(x + s d) = c + 2 b s + a s^2.
double largest_step(double x_head, ConstVectorRef x_tail, double d_head, ConstVectorRef d_tail) {
  const double a = cone_determinant(d_head, d_tail);
  const double b = x_head * d_head - x_tail.dot(d_tail);
  const double c = cone_determinant(x_head, x_tail);
  const double discriminant = b * b - a * c;
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  if (a < 0.0 && b >= 0.0) return (b + std::sqrt(discriminant)) / -a;
  if (b >= 0.0 || discriminant < 0.0) return kUnbounded;
  return c / (std::sqrt(discriminant) - b);
}

}  // namespace cvxnn
