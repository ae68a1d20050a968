#include "cvxnn/pricing.hpp"

#include <algorithm>
#include <functional>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
// One product prices at most so many blocks, whose gradients take at most so many doubles.
constexpr Index kSlabBlocks = 4096;
constexpr Index kSlabSize = Index{1} << 22;
constexpr Index kProjections = 32;  // at a time
constexpr Index kViolators = 64;    // that are enough
constexpr double kSharp = 0.8;      // of level: below, scores may be bounds
}  // namespace

Pricing::Pricing(const Operator& op, const Vector& weights, const Vector& omega, Index n_outputs,
                 int n_threads)
    : op_(op), weights_(weights), omega_(omega), n_outputs_(n_outputs), n_threads_(n_threads) {
  if (op_.cones() != nullptr) projections_.resize(static_cast<std::size_t>(op_.n_blocks()));
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

// Of blocks in cones scores are bounds at first. From the largest bound down, bounds give way to
// scores. One that is not among the largest may stay a bound too: no solve takes up more at once.
// With a ridge the conjugates want them all.
void Pricing::project(const std::vector<Index>& slab, Index first, double level) {
  const bool some_do = !op_.has_ridge();
  std::vector<Index> order, starts;
  std::vector<double> best;  // a heap of the kViolators largest scores, the least of them first
  Index start = 0;
  for (std::size_t j = 0; j < slab.size(); ++j) {
    starts.push_back(start);
    start += op_.block_size(slab[j]) * n_outputs_;
    is_bound_[first + j] = 1;
    if (scores_[first + j] > level) order.push_back(static_cast<Index>(j));
  }
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    return scores_[first + a] > scores_[first + b] ||
           (scores_[first + a] == scores_[first + b] && a < b);
  });
  const Index count = static_cast<Index>(order.size());
  for (Index k = 0; k < count; k += kProjections) {
    if (some_do && n_violators_ >= kViolators && scores_[first + order[k]] <= largest_) return;
    const Index some = std::min(kProjections, count - k);
    const bool enough = some_do && static_cast<Index>(best.size()) == kViolators;
    const double least = std::max(kSharp * level, enough ? best.front() : 0.0);
    double work = 0.0;  // of one product with the walls of each
    for (Index task = 0; task < some; ++task) {
      work += static_cast<double>(op_.cones()->rows(slab[order[k + task]]).size());
    }
    parallel_for(some, worthwhile_threads(work, n_threads_), [&](Index task, int) {
      const Index j = order[k + task], b = slab[j];
      MatrixMap G(gradients_.data() + starts[j], op_.block_size(b), n_outputs_);
      scores_[first + j] = op_.restrict(b, G, least * weights_[b], &projections_[b]) / weights_[b];
    });
    for (Index task = 0; task < some; ++task) {
      const Index j = first + order[k + task];
      is_bound_[j] = scores_[j] <= least;
      if (is_bound_[j] != 0) continue;
      largest_ = std::max(largest_, scores_[j]);
      if (scores_[j] > level) ++n_violators_;
      best.push_back(scores_[j]);
      std::push_heap(best.begin(), best.end(), std::greater<>());
      if (static_cast<Index>(best.size()) > kViolators) {
        std::pop_heap(best.begin(), best.end(), std::greater<>());
        best.pop_back();
      }
    }
  }
}

double Pricing::price(ConstMatrixRef Theta, double level, Precision precision, Control& control) {
  const Index n_candidates = static_cast<Index>(candidates_.size());
  scores_.resize(n_candidates);
  is_bound_.assign(candidates_.size(), 0);
  largest_ = 0.0;
  n_violators_ = 0;
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
      const ConstMatrixMap G(gradients_.data() + start, op_.block_size(slab[j]), n_outputs_);
      const double norm =
          op_.cones() != nullptr ? projections_[slab[j]].bound(G.col(0)) : op_.norm().dual(G);
      scores_[first + static_cast<Index>(j)] = norm / weights_[slab[j]];
      start += length;
    }
    if (op_.cones() != nullptr) project(slab, first, level);
  }
  return n_candidates > 0 ? scores_.maxCoeff() : 0.0;
}

double Pricing::conjugates(double alpha) const {
  double sum = 0.0;
  for (Index j = 0; j < scores_.size(); ++j) {
    const double weight = weights_[candidates_[j]];
    sum += op_.penalty(alpha * weight).conjugate(weight * scores_[j]);
  }
  return sum;
}

void Pricing::screen(double scale, double radius, double level) {
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
    if (bound * kMargin < level) {
      is_candidate_[b] = 0;
      continue;
    }
    candidates_[kept] = b;
    is_bound_[kept] = is_bound_[j];
    scores_[kept++] = scores_[j];
  }
  candidates_.resize(kept);
  scores_.conservativeResize(kept);
}

std::vector<Index> Pricing::violators(double level, const std::vector<Index>& except,
                                      Index count) const {
  std::vector<char> excluded(is_candidate_.size(), 0);
  for (const Index b : except) excluded[b] = 1;
  std::vector<Index> found;  // positions in candidates_
  for (Index j = 0; j < scores_.size(); ++j) {
    if (scores_[j] > level && is_bound_[j] == 0 && !excluded[candidates_[j]]) found.push_back(j);
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
