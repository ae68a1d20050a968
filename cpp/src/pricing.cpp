#include "cvxnn/pricing.hpp"

#include <algorithm>

namespace cvxnn {
namespace {
// One product prices at most so many blocks, whose gradients take at most so many doubles.
constexpr Index kSlabBlocks = 4096;
constexpr Index kSlabSize = Index{1} << 22;
}  // namespace

Pricing::Pricing(const Operator& op, const Vector& weights, const Vector& omega, Index n_outputs)
    : op_(op), weights_(weights), omega_(omega), n_outputs_(n_outputs) {
  reset();
}

void Pricing::reset() {
  candidates_.clear();
  is_candidate_.assign(static_cast<std::size_t>(op_.n_blocks()), 0);
  for (Index b = 0; b < op_.n_blocks(); ++b) {
    if (weights_[b] > 0.0) {
      candidates_.push_back(b);
      is_candidate_[b] = 1;
    }
  }
}

double Pricing::price(ConstMatrixRef Theta, Precision precision, Control& control) {
  const Index n_candidates = static_cast<Index>(candidates_.size());
  scores_.resize(n_candidates);
  std::vector<Index> slab;
  for (Index first = 0; first < n_candidates; first += static_cast<Index>(slab.size())) {
    slab.clear();
    Index size = 0;
    while (first + static_cast<Index>(slab.size()) < n_candidates) {
      const Index b = candidates_[first + static_cast<Index>(slab.size())];
      const Index length = op_.block_size(b) * n_outputs_;
      const bool full = static_cast<Index>(slab.size()) == kSlabBlocks || size + length > kSlabSize;
      if (full && !slab.empty()) break;
      slab.push_back(b);
      size += length;
    }
    if (gradients_.size() < size) gradients_.resize(size);
    op_.gradients(slab, Theta, precision, control, gradients_.data());
    Index start = 0;
    for (std::size_t j = 0; j < slab.size(); ++j) {
      const Index length = op_.block_size(slab[j]) * n_outputs_;
      scores_[first + static_cast<Index>(j)] =
          gradients_.segment(start, length).norm() / weights_[slab[j]];
      start += length;
    }
  }
  return n_candidates > 0 ? scores_.maxCoeff() : 0.0;
}

void Pricing::screen(double scale, double radius, double alpha) {
  constexpr double kMargin = 1.0 + 1e-5;  // scores may come from float tables
  if (bounds_.size() == 0) {
    bounds_.resize(op_.n_blocks());
    op_.squared_norms(omega_, bounds_);
    bounds_ = bounds_.cwiseMax(0.0).cwiseSqrt();
  }
  Index kept = 0;
  for (Index j = 0; j < static_cast<Index>(candidates_.size()); ++j) {
    const Index b = candidates_[j];
    const double bound = scale * scores_[j] + radius * bounds_[b] / weights_[b];
    if (bound * kMargin < alpha) {
      is_candidate_[b] = 0;
      continue;
    }
    candidates_[kept] = b;
    scores_[kept++] = scores_[j];
  }
  candidates_.resize(kept);
  scores_.conservativeResize(kept);
}

std::vector<Index> Pricing::violators(double alpha, const std::vector<Index>& except,
                                      Index count) const {
  std::vector<char> excluded(is_candidate_.size(), 0);
  for (const Index b : except) excluded[b] = 1;
  std::vector<Index> found;  // positions in candidates_
  for (Index j = 0; j < scores_.size(); ++j) {
    if (scores_[j] > alpha && !excluded[candidates_[j]]) found.push_back(j);
  }
  count = std::min(count, static_cast<Index>(found.size()));
  // Ties by index: the choice must not depend on the sort.
  std::partial_sort(found.begin(), found.begin() + count, found.end(), [&](Index a, Index b) {
    return scores_[a] > scores_[b] || (scores_[a] == scores_[b] && a < b);
  });
  found.resize(count);
  for (Index& j : found) j = candidates_[j];
  return found;
}

}  // namespace cvxnn
