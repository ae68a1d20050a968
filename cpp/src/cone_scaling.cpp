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

void ConeScaling::eliminate_head(double& head, VectorRef tail) const {
  apply_inverse(head, tail);
  tail = -tail - 2.0 * w0_ / (2.0 * w0_ * w0_ - 1.0) * head * w();
}

void ConeScaling::solve_tail(VectorRef v) const {
  const double along = 2.0 * w().dot(v);
  v = eta_ * eta_ * (v + along * w());
}

void ConeScaling::add_product(ConstVectorRef v, VectorRef out) const {
  const double along = 2.0 * w().dot(v) / (1.0 + 2.0 * w().squaredNorm());
  out += (v - along * w()) / (eta_ * eta_);
}

void ConeScaling::add_hessian(MatrixRef H) const {
  H.diagonal().array() += 1.0 / (eta_ * eta_);
  H.noalias() -= (2.0 / (eta_ * eta_ * (1.0 + 2.0 * w().squaredNorm()))) * w() * w().transpose();
}

double ConeScaling::head_step(double head, ConstVectorRef dx_tail) const {
  return (head * eta_ * eta_ + 2.0 * w0_ * w().dot(dx_tail)) / (2.0 * w0_ * w0_ - 1.0);
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

void add_corrector(const ConeScaling& scaling, double lambda_head, ConstVectorRef lambda_tail,
                   double centre, double dx_head, ConstVectorRef dx_tail, ConstVectorRef ds_tail,
                   double& r_head, VectorRef r_tail) {
  double ds_head = 0.0;
  Vector ds = ds_tail, dx = dx_tail;
  scaling.apply(ds_head, ds);
  scaling.apply_inverse(dx_head, dx);
  jordan_product(dx_head, dx, ds_head, ds);
  ds = -ds;
  ds_head = centre - ds_head;
  jordan_divide(lambda_head, lambda_tail, ds_head, ds);
  r_head += ds_head;
  r_tail += ds;
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
