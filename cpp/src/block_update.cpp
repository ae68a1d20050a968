#include "cvxnn/block_update.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cvxnn/power_iteration.hpp"
#include "cvxnn/symmetric_eigen.hpp"

namespace cvxnn {
namespace {

// Directions below this share of the largest eigenvalue are outside the numerical range of A_b. The
// linear term lies in that range, so what it has there is rounding.
constexpr double kRangeTolerance = 1e-13;

}  // namespace

BlockSpectrum decompose(ConstMatrixRef gram) {
  BlockSpectrum spectrum;
  if (gram.rows() > kExactBlockSize) {
    const double bound = largest_eigenvalue(
        gram.rowwise().norm(), [&](const Vector& v, Vector& w) { w.noalias() = gram * v; });
    spectrum.values = Vector::Constant(gram.rows(), std::min(bound, gram.norm()));
    return spectrum;
  }
  symmetric_eigen(gram, spectrum.values, spectrum.vectors);
  const double cut = kRangeTolerance * spectrum.values.maxCoeff();
  spectrum.values = (spectrum.values.array() > cut).select(spectrum.values, 0.0);
  return spectrum;
}

// Newton on 1/sqrt(phi) - 1, which is concave and increasing (the secular function of a trust
// region; More and Sorensen 1983): from the left it climbs to the root without overshooting.
double block_norm(ConstVectorRef values, ConstMatrixRef B, double a, double ridge) {
  constexpr int kMaxSteps = 64;
  constexpr double kTolerance = 1e-15;
  double eta = (B.norm() - a) / (values.maxCoeff() + ridge);
  for (int step = 0; step < kMaxSteps; ++step) {
    double phi = 0.0, slope = 0.0;
    for (Index k = 0; k < values.size(); ++k) {
      const double value = values[k] + ridge;
      const double inverse = 1.0 / (value * eta + a);
      const double term = B.row(k).squaredNorm() * inverse * inverse;
      phi += term;
      slope += term * value * inverse;
    }
    // d(phi^-1/2) = phi^-3/2 slope; step = (1 - phi^-1/2) / that.
    const double delta = (std::sqrt(phi) - 1.0) * phi / slope;
    if (!(delta > kTolerance * eta)) break;
    eta += delta;
  }
  return eta;
}

void update_block(const BlockSpectrum& spectrum, ConstMatrixRef B, double a, double ridge,
                  MatrixRef Z) {
  if (a > 0.0 && B.norm() <= a) {
    Z.setZero();
    return;
  }
  const double eta = block_norm(spectrum.values, B, a, ridge);
  for (Index k = 0; k < Z.rows(); ++k) {
    Z.row(k) = B.row(k) * (eta / ((spectrum.values[k] + ridge) * eta + a));
  }
}

}  // namespace cvxnn
