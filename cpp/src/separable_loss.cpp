#include "cvxnn/separable_loss.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cvxnn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double log1pexp(double z) {
  return z > 0.0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z));
}

double sigmoid(double z) {
  if (z >= 0.0) return 1.0 / (1.0 + std::exp(-z));
  const double e = std::exp(z);
  return e / (1.0 + e);
}

double x_log_x(double x) { return x > 0.0 ? x * std::log(x) : 0.0; }

// A scalar loss l(f, y) is a class with static members of one sample; v = Theta / omega = -l'(f).
struct Squared {
  double clip(double v, double) const { return v; }
  double largest_scale(double, double) const { return kInfinity; }
  static constexpr double kSmoothness = 1.0;
  static constexpr bool kQuadratic = true;
  double value(double f, double y) const { return 0.5 * (f - y) * (f - y); }
  double dual(double f, double y) const { return y - f; }
  double conjugate(double v, double y) const { return y * v - 0.5 * v * v; }
  double gap(double f, double v, double y) const { return 0.5 * (f - y + v) * (f - y + v); }
  double curvature(double, double) const { return 1.0; }
};

// log(1 + exp(-y f)); conjugate: the entropy of a = y v in [0, 1]; gap: KL(a || sigmoid(-y f)).
struct Logistic {
  double clip(double v, double y) const { return y * v < 0.0 ? 0.0 : v; }
  double largest_scale(double v, double) const { return 1.0 / std::abs(v); }
  static constexpr double kSmoothness = 0.25;
  static constexpr bool kQuadratic = false;
  double value(double f, double y) const { return log1pexp(-y * f); }
  double dual(double f, double y) const { return y * sigmoid(-y * f); }
  double conjugate(double v, double y) const {
    const double a = y * v;
    if (a < 0.0 || a > 1.0) return -kInfinity;
    return -x_log_x(a) - (1.0 - a) * (a < 1.0 ? std::log1p(-a) : 0.0);
  }
  double gap(double f, double v, double y) const {
    const double a = y * v, z = -y * f;
    if (a < 0.0 || a > 1.0) return kInfinity;
    const double on = a > 0.0 ? a * (std::log(a) + log1pexp(-z)) : 0.0;
    const double off = a < 1.0 ? (1.0 - a) * (std::log1p(-a) + log1pexp(z)) : 0.0;
    return std::max(0.0, on + off);
  }
  double curvature(double f, double y) const { return sigmoid(y * f) * sigmoid(-y * f); }
};

// max(0, 1 - y f)^2 / 2; a = y v >= 0.
struct SquaredHinge {
  double clip(double v, double y) const { return y * v < 0.0 ? 0.0 : v; }
  double largest_scale(double, double) const { return kInfinity; }
  static constexpr double kSmoothness = 1.0;
  static constexpr bool kQuadratic = false;
  double value(double f, double y) const {
    const double m = std::max(0.0, 1.0 - y * f);
    return 0.5 * m * m;
  }
  double dual(double f, double y) const { return y * std::max(0.0, 1.0 - y * f); }
  double conjugate(double v, double y) const {
    const double a = y * v;
    return a < 0.0 ? -kInfinity : a - 0.5 * a * a;
  }
  double gap(double f, double v, double y) const {
    const double a = y * v, m = 1.0 - y * f;
    if (a < 0.0) return kInfinity;
    return m > 0.0 ? 0.5 * (m - a) * (m - a) : a * (0.5 * a - m);
  }
  double curvature(double f, double y) const { return y * f < 1.0 ? 1.0 : 0.0; }
};

// max(0, 1 - y f); 0 <= a = y v <= 1, and at the kink any of these is minus a slope.
struct Hinge {
  double clip(double v, double y) const { return y * v < 0.0 ? 0.0 : v; }
  double largest_scale(double v, double) const { return 1.0 / std::abs(v); }
  static constexpr double kSmoothness = kInfinity;
  static constexpr bool kQuadratic = false;
  double value(double f, double y) const { return std::max(0.0, 1.0 - y * f); }
  double dual(double f, double y) const { return y * f < 1.0 ? y : 0.0; }
  double conjugate(double v, double y) const {
    const double a = y * v;
    return a < 0.0 || a > 1.0 ? -kInfinity : a;
  }
  double gap(double f, double v, double y) const {
    const double a = y * v, m = 1.0 - y * f;
    if (a < 0.0 || a > 1.0) return kInfinity;
    return m > 0.0 ? (1.0 - a) * m : -a * m;
  }
  double curvature(double, double) const { return 0.0; }
};

// t^2 / 2 for |t| <= delta, delta |t| - delta^2 / 2 beyond, t = f - y; |v| <= delta. l'' vanishes
// on the linear part, where the gradient does not: there the curvature is a share of the tangent
// majoriser's, and the line search of the Newton steps answers for the rest.
struct Huber {
  static constexpr double kTail = 0.1;
  double clip(double v, double) const { return v; }
  double largest_scale(double v, double) const { return delta / std::abs(v); }
  static constexpr double kSmoothness = 1.0;
  static constexpr bool kQuadratic = false;
  double delta;
  double value(double f, double y) const {
    const double t = std::abs(f - y);
    return t <= delta ? 0.5 * t * t : delta * (t - 0.5 * delta);
  }
  double dual(double f, double y) const { return std::clamp(y - f, -delta, delta); }
  double conjugate(double v, double y) const {
    return std::abs(v) > delta ? -kInfinity : y * v - 0.5 * v * v;
  }
  double gap(double f, double v, double y) const {
    const double t = f - y;
    if (std::abs(v) > delta) return kInfinity;
    if (std::abs(t) <= delta) return 0.5 * (t + v) * (t + v);
    const double u = t > 0.0 ? v : -v;
    return (delta + u) * (std::abs(t) - 0.5 * (delta - u));
  }
  double curvature(double f, double y) const {
    const double t = std::abs(f - y);
    return t <= delta ? 1.0 : kTail * delta / t;
  }
};

// max over 0 <= a <= 1 of a (1 - y f) - sigma/2 (a - c)^2: linear, quadratic, zero less a constant.
// On the hinge's domain. Its smoothness is 1 / sigma; nothing asks for it.
struct HingeEnvelope : Hinge {
  static constexpr double kTail = Huber::kTail;
  double c, sigma;
  HingeEnvelope(double centre, double width) : c(centre), sigma(width) {}
  double peak(double f, double y) const { return c + (1.0 - y * f) / sigma; }
  double best(double f, double y) const { return std::clamp(peak(f, y), 0.0, 1.0); }
  double value(double f, double y) const {
    const double a = best(f, y);
    return a * (1.0 - y * f) - 0.5 * sigma * (a - c) * (a - c);
  }
  double dual(double f, double y) const { return y * best(f, y); }
  double conjugate(double v, double y) const {
    const double a = y * v;
    return a < 0.0 || a > 1.0 ? -kInfinity : a - 0.5 * sigma * (a - c) * (a - c);
  }
  double gap(double f, double v, double y) const {
    const double a = y * v, top = best(f, y);
    if (a < 0.0 || a > 1.0) return kInfinity;
    return 0.5 * sigma * (a - top) * (a + top - 2.0 * peak(f, y));
  }
  double curvature(double f, double y) const {
    const double a = peak(f, y);
    if (a <= 0.0) return 0.0;
    return a <= 1.0 ? 1.0 / sigma : kTail / (sigma * a);
  }
};

// The scalar loss of each sample: one for all, or with a centre of its own.
template <class Scalar>
struct Uniform {
  using Type = Scalar;
  Scalar scalar;
  const Scalar& at(Index, Index) const { return scalar; }
};
struct HingeEnvelopes {
  using Type = HingeEnvelope;
  Matrix c;
  double sigma = 1.0;
  HingeEnvelope at(Index i, Index k) const { return {c(i, k), sigma}; }
};

template <class Scalars, class Base = Loss>
class Separable : public Base {
 public:
  using Scalar = typename Scalars::Type;

  Separable(Scalars scalars, Matrix y, Vector omega)
      : Base(std::move(y), std::move(omega)), scalars_(std::move(scalars)) {}

  double value(ConstMatrixRef F) const override {
    double sum = 0.0;
    for_each([&](Index i, Index k) { sum += omega_[i] * at(i, k).value(F(i, k), y_(i, k)); });
    return sum;
  }

  void dual_point(ConstMatrixRef F, MatrixRef Theta) const override {
    for_each([&](Index i, Index k) { Theta(i, k) = omega_[i] * at(i, k).dual(F(i, k), y_(i, k)); });
  }

  double dual_value(ConstMatrixRef Theta) const override {
    double sum = 0.0;
    for_each_weighted([&](Index i, Index k) {
      sum += omega_[i] * at(i, k).conjugate(Theta(i, k) / omega_[i], y_(i, k));
    });
    return sum;
  }

  double fenchel_gap(ConstMatrixRef F, ConstMatrixRef Theta) const override {
    double sum = 0.0;
    for_each_weighted([&](Index i, Index k) {
      sum += omega_[i] * at(i, k).gap(F(i, k), Theta(i, k) / omega_[i], y_(i, k));
    });
    return sum;
  }

  void curvature(ConstMatrixRef F, VectorRef h) const override {
    h.setZero();
    for_each([&](Index i, Index k) {
      h[i] = std::max(h[i], omega_[i] * at(i, k).curvature(F(i, k), y_(i, k)));
    });
  }

  void hessian(ConstMatrixRef F, LossHessian& H) const override {
    H.diagonal.resize(F.rows(), F.cols());
    H.vectors.resize(0, 0);
    for_each([&](Index i, Index k) {
      H.diagonal(i, k) = omega_[i] * at(i, k).curvature(F(i, k), y_(i, k));
    });
  }

  void clip(MatrixRef Theta) const override {
    for_each([&](Index i, Index k) { Theta(i, k) = at(i, k).clip(Theta(i, k), y_(i, k)); });
  }

  double smoothness() const override { return Scalar::kSmoothness; }
  bool quadratic() const override { return Scalar::kQuadratic; }

  double best_scale(ConstMatrixRef Theta, double limit) const override {
    if constexpr (!Scalar::kQuadratic) {
      constexpr double kInside = 1.0 - 4.0 * std::numeric_limits<double>::epsilon();
      double domain = kInfinity;
      for_each_weighted([&](Index i, Index k) {
        domain = std::min(domain, at(i, k).largest_scale(Theta(i, k) / omega_[i], y_(i, k)));
      });
      const double scale = std::min(1.0, limit);
      return domain < scale ? kInside * domain : scale;
    } else {
      double linear = 0.0, square = 0.0;
      for_each_weighted([&](Index i, Index k) {
        linear += y_(i, k) * Theta(i, k);
        square += Theta(i, k) * Theta(i, k) / omega_[i];
      });
      return square > 0.0 ? std::clamp(linear / square, 0.0, limit) : std::min(1.0, limit);
    }
  }

 protected:
  using Base::omega_;
  using Base::y_;
  Scalars scalars_;

  decltype(auto) at(Index i, Index k) const { return scalars_.at(i, k); }

  template <class Fn>
  void for_each(Fn&& fn) const {
    for (Index k = 0; k < y_.cols(); ++k) {
      for (Index i = 0; i < y_.rows(); ++i) fn(i, k);
    }
  }
  template <class Fn>
  void for_each_weighted(Fn&& fn) const {
    for_each([&](Index i, Index k) {
      if (omega_[i] > 0.0) fn(i, k);
    });
  }
};

class ProximalHinge final : public Separable<HingeEnvelopes, ProximalLoss> {
 public:
  ProximalHinge(const Matrix& y, const Vector& omega)
      : Separable({Matrix::Zero(y.rows(), y.cols())}, y, omega) {}

  void recentre(ConstMatrixRef F) override {
    for_each([&](Index i, Index k) { scalars_.c(i, k) = at(i, k).best(F(i, k), y_(i, k)); });
  }
  void sharpen() override {
    constexpr double kShrink = 0.5, kLeast = 1e-4;
    scalars_.sigma = std::max(kLeast, kShrink * scalars_.sigma);
  }
};

class HingeLoss final : public Separable<Uniform<Hinge>> {
 public:
  using Separable::Separable;
  std::unique_ptr<ProximalLoss> proximal() const override {
    return std::make_unique<ProximalHinge>(y_, omega_);
  }
};

template <class Scalar>
std::unique_ptr<Loss> make(Scalar scalar, Matrix y, Vector omega) {
  return std::make_unique<Separable<Uniform<Scalar>>>(Uniform<Scalar>{scalar}, std::move(y),
                                                      std::move(omega));
}

}  // namespace

std::unique_ptr<Loss> make_separable_loss(const std::string& name, Matrix y, Vector omega,
                                          double delta) {
  if (name == "squared") return make(Squared{}, std::move(y), std::move(omega));
  if (name == "logistic") return make(Logistic{}, std::move(y), std::move(omega));
  if (name == "squared_hinge") return make(SquaredHinge{}, std::move(y), std::move(omega));
  if (name == "hinge") {
    return std::make_unique<HingeLoss>(Uniform<Hinge>{}, std::move(y), std::move(omega));
  }
  if (name == "huber") return make(Huber{delta}, std::move(y), std::move(omega));
  return nullptr;
}

}  // namespace cvxnn
