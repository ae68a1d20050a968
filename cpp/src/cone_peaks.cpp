#include "cvxnn/cone_peaks.hpp"

#include <Eigen/SVD>
#include <algorithm>
#include <random>

#include "cvxnn/errors.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr Index kBlocksPerPoll = 256;
constexpr int kRandomStarts = 16;  // thin cones have many maxima, on their rays
constexpr int kMaxSteps = 2000;
constexpr double kStill = 1e-14;           // relative ascent of a step that is none
constexpr double kLeastProjection = 1e-6;  // of what is projected: below, the rest is rounding
constexpr double kRankOne = 1e-12;         // of the largest singular value
constexpr Index kExactInputs = 2;  // coordinates of an arc, whose maxima are an end or the start

struct Peak {
  double value = 0.0;
  Vector direction;
};

// Climbs from the projection of u.
Peak climb(const ActivationCones& cones, Index block, ConstMatrixRef G, Vector u) {
  Peak peak;
  LastProjection last;
  Vector image(G.cols());
  for (int step = 0; step < kMaxSteps; ++step) {
    const double before = u.norm();
    cones.project(block, u, &last);
    const double norm = u.norm();
    if (!(norm > kLeastProjection * before)) break;
    u /= norm;
    image.noalias() = G.transpose() * u;
    const double value = image.norm();
    const bool ascended = value > peak.value * (1.0 + kStill);
    if (value > peak.value) peak = {value, u};
    if (!ascended) break;
    u.noalias() = G * (image / value);
  }
  return peak;
}

Matrix starting_points(const Matrix& left, bool thorough, Index block) {
  const bool few = left.rows() <= kExactInputs;
  const Index n = thorough || few ? left.cols() : 1;
  const Index random = thorough && !few ? kRandomStarts : 0;
  Matrix points(left.rows(), 2 * n + random);
  points << left.leftCols(n), -left.leftCols(n), Matrix::Zero(left.rows(), random);
  std::minstd_rand engine(static_cast<unsigned>(block) + 1);
  for (Index j = 2 * n; j < points.cols(); ++j) {
    for (double& entry : points.col(j)) {
      entry = static_cast<double>(engine()) / static_cast<double>(engine.max()) - 0.5;
    }
  }
  return points;
}

}  // namespace

ConePeaks cone_peaks(const Operator& op, ConstVectorRef weights, ConstMatrixRef Theta, double least,
                     const ConeStarts& starts, bool thorough, int n_threads, Control& control) {
  const Index n_blocks = weights.size(), n_inputs = starts.directions.rows();
  require(n_blocks <= op.n_blocks(), "weights must be of blocks");
  std::vector<std::vector<Index>> own(static_cast<std::size_t>(n_blocks));
  for (std::size_t j = 0; j < starts.blocks.size(); ++j) {
    own[starts.blocks[j]].push_back(static_cast<Index>(j));
  }
  std::vector<Peak> peaks(static_cast<std::size_t>(n_blocks));
  std::vector<char> sure(static_cast<std::size_t>(n_blocks), 1);
  const auto look = [&](Index b) {
    Matrix gradient(op.block_size(b), Theta.cols());
    op.reference_gradients(b, 1, Theta, gradient.data());
    const ConstMatrixMap G(gradient.data(), n_inputs, gradient.size() / n_inputs);
    if (G.norm() <= least * weights[b]) return;
    const Eigen::JacobiSVD<Matrix> svd(G, Eigen::ComputeThinU);
    const Vector& sigma = svd.singularValues();
    if (sigma[0] <= least * weights[b]) return;
    const bool exact =
        n_inputs <= kExactInputs || sigma.size() == 1 || sigma[1] <= kRankOne * sigma[0];
    const auto improve = [&](ConstVectorRef start) {
      Peak peak = climb(*op.cones(), b, G, start);
      if (peak.value > peaks[b].value) peaks[b] = std::move(peak);
    };
    const Matrix points = starting_points(svd.matrixU(), thorough, b);
    for (Index j = 0; j < points.cols(); ++j) improve(points.col(j));
    for (const Index j : own[b]) improve(starts.directions.col(j));
    sure[b] = exact || peaks[b].value >= (1.0 - kRankOne) * sigma[0];
    peaks[b].value /= weights[b];
  };
  for (Index first = 0; first < n_blocks; first += kBlocksPerPoll) {
    parallel_for(std::min(kBlocksPerPoll, n_blocks - first), n_threads,
                 [&](Index task, int) { look(first + task); });
    control.poll_signals();
  }

  ConePeaks found;
  for (Index b = 0; b < n_blocks; ++b) {
    found.largest = std::max(found.largest, peaks[b].value);
    found.exact = found.exact && sure[b] != 0;
    if (peaks[b].value > least) found.blocks.push_back(b);
  }
  const Index count = static_cast<Index>(found.blocks.size());
  found.values.resize(count);
  found.directions.resize(n_inputs, count);
  for (Index j = 0; j < count; ++j) {
    found.values[j] = peaks[found.blocks[j]].value;
    found.directions.col(j) = peaks[found.blocks[j]].direction;
  }
  return found;
}

}  // namespace cvxnn
