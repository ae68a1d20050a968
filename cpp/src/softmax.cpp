#include "cvxnn/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cvxnn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Rows of P - Y sum to zero but for rounding.
constexpr double kRounding = 1e-9;

// log sum_k exp(f_k).
double log_sum_exp(ConstMatrixRef f) {
  const double largest = f.maxCoeff();
  return largest + std::log((f.array() - largest).exp().sum());
}

// log sum_k exp(F_ik) - <F_i, Y_i>, rows of Y on the probability simplex. With P_i = Y_i - Theta_i
// / omega_i on the simplex, d(Theta) is the entropy of its rows.
class Softmax final : public Loss {
 public:
  Softmax(Matrix y, Vector omega) : Loss(std::move(y), std::move(omega)) {}

  double value(ConstMatrixRef F) const override;
  void dual_point(ConstMatrixRef F, MatrixRef Theta) const override;
  double dual_value(ConstMatrixRef Theta) const override;
  double fenchel_gap(ConstMatrixRef F, ConstMatrixRef Theta) const override;
  void curvature(ConstMatrixRef F, VectorRef h) const override;
  void hessian(ConstMatrixRef F, LossHessian& H) const override;
  double smoothness() const override { return 0.5; }
  bool quadratic() const override { return false; }
  void clip(MatrixRef Theta) const override;
  double best_scale(ConstMatrixRef Theta, double limit) const override;
};

double Softmax::value(ConstMatrixRef F) const {
  double sum = 0.0;
  for (Index i = 0; i < F.rows(); ++i) {
    if (omega_[i] == 0.0) continue;
    // Differences of fits, in which a large common part cancels.
    const double normaliser = log_sum_exp(F.row(i));
    for (Index k = 0; k < F.cols(); ++k) {
      if (y_(i, k) > 0.0) sum += omega_[i] * y_(i, k) * (normaliser - F(i, k));
    }
  }
  return sum;
}

void Softmax::dual_point(ConstMatrixRef F, MatrixRef Theta) const {
  for (Index i = 0; i < F.rows(); ++i) {
    const double normaliser = log_sum_exp(F.row(i));
    Theta.row(i) = omega_[i] * (y_.row(i).array() - (F.row(i).array() - normaliser).exp()).matrix();
  }
}

double Softmax::dual_value(ConstMatrixRef Theta) const {
  double sum = 0.0;
  for (Index i = 0; i < Theta.rows(); ++i) {
    if (omega_[i] == 0.0) continue;
    if (std::abs(Theta.row(i).sum()) > kRounding * omega_[i]) return -kInfinity;
    for (Index k = 0; k < Theta.cols(); ++k) {
      const double p = y_(i, k) - Theta(i, k) / omega_[i];
      if (p < 0.0) return -kInfinity;
      if (p > 0.0) sum -= omega_[i] * p * std::log(p);
    }
  }
  return sum;
}

// KL(P_i || softmax(F_i)), each term p log(p / q) - p + q >= 0.
double Softmax::fenchel_gap(ConstMatrixRef F, ConstMatrixRef Theta) const {
  double sum = 0.0;
  for (Index i = 0; i < F.rows(); ++i) {
    if (omega_[i] == 0.0) continue;
    if (std::abs(Theta.row(i).sum()) > kRounding * omega_[i]) return kInfinity;
    const double normaliser = log_sum_exp(F.row(i));
    for (Index k = 0; k < F.cols(); ++k) {
      const double p = y_(i, k) - Theta(i, k) / omega_[i], log_q = F(i, k) - normaliser;
      if (p < 0.0) return kInfinity;
      const double q = std::exp(log_q);
      if (p == 0.0) {
        sum += omega_[i] * q;
        continue;
      }
      const double t = std::log(p) - log_q;
      // q (e^t t - e^t + 1), where that keeps the digits of a small t.
      const double term = std::abs(t) < 1.0 ? q * (t * std::exp(t) - std::expm1(t)) : p * t - p + q;
      sum += omega_[i] * std::max(0.0, term);
    }
  }
  return sum;
}

// The eigenvalues of diag(q) - q q^T are at most max_k 2 q_k (1 - q_k) (Gershgorin), and that at
// most 1/2.
void Softmax::curvature(ConstMatrixRef F, VectorRef h) const {
  for (Index i = 0; i < F.rows(); ++i) {
    const double normaliser = log_sum_exp(F.row(i));
    const auto q = (F.row(i).array() - normaliser).exp();
    h[i] = omega_[i] * (2.0 * q * (1.0 - q)).maxCoeff();
  }
}

// diag(q) - q q^T.
void Softmax::hessian(ConstMatrixRef F, LossHessian& H) const {
  H.diagonal.resize(F.rows(), F.cols());
  H.vectors.resize(F.rows(), F.cols());
  for (Index i = 0; i < F.rows(); ++i) {
    const double normaliser = log_sum_exp(F.row(i));
    H.vectors.row(i) = (F.row(i).array() - normaliser).exp();
    H.diagonal.row(i) = omega_[i] * H.vectors.row(i);
    H.vectors.row(i) *= std::sqrt(omega_[i]);
  }
}

// P_ik >= 0 where Y_ik = 0 asks for Theta_ik <= 0; the row still sums to zero.
void Softmax::clip(MatrixRef Theta) const {
  for (Index i = 0; i < Theta.rows(); ++i) {
    double removed = 0.0;
    for (Index k = 0; k < Theta.cols(); ++k) {
      if (y_(i, k) > 0.0 || Theta(i, k) <= 0.0) continue;
      removed += Theta(i, k);
      Theta(i, k) = 0.0;
    }
    Index label = 0;
    y_.row(i).maxCoeff(&label);
    if (removed > 0.0) Theta(i, label) += removed;
  }
}

double Softmax::best_scale(ConstMatrixRef Theta, double limit) const {
  constexpr double kInside = 1.0 - 4.0 * std::numeric_limits<double>::epsilon();
  double domain = kInfinity;
  for (Index i = 0; i < Theta.rows(); ++i) {
    if (omega_[i] == 0.0) continue;
    for (Index k = 0; k < Theta.cols(); ++k) {
      if (Theta(i, k) > 0.0) domain = std::min(domain, y_(i, k) * omega_[i] / Theta(i, k));
    }
  }
  const double scale = std::min(1.0, limit);
  return domain < scale ? kInside * domain : scale;
}

}  // namespace

std::unique_ptr<Loss> make_softmax(Matrix y, Vector omega) {
  return std::make_unique<Softmax>(std::move(y), std::move(omega));
}

}  // namespace cvxnn
