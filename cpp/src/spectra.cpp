#include "cvxnn/spectra.hpp"

#include <algorithm>
#include <cmath>

#include "cvxnn/cost_model.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
constexpr double kLoose = 2.0;   // of the sum of g over that of h
constexpr double kSame = 1e-12;  // of a scale
}  // namespace

// Scales g, and what was made of it, to the least multiple that bounds h.
void BlockSpectra::follow(ConstVectorRef h) {
  double scale = 0.0;
  if (g_.size() == h.size()) {
    if (g_ == h) return;  // zeros too, of which no scale tells that they are the same
    for (Index i = 0; i < h.size(); ++i) {
      if (h[i] > 0.0) scale = std::max(scale, h[i] / g_[i]);
    }
    if (std::abs(scale - 1.0) <= kSame) return;
  }
  if (!(scale > 0.0) || !(scale * g_.sum() <= kLoose * h.sum())) {
    spectra_.clear();
    traces_.resize(0);
    g_ = h;
    return;
  }
  g_ *= scale;
  traces_ *= scale;
  common_bound_ *= scale;
  for (auto& [block, spectrum] : spectra_) {
    spectrum.values *= scale;
    spectrum.mean *= scale;
  }
}

// A block too large to decompose needs no Gram matrix where its operator bounds all blocks at once.
bool BlockSpectra::bounded(Index size) {
  if (size <= kExactBlockSize) return false;
  if (traces_.size() == 0) {
    traces_.resize(op_.n_blocks());
    op_.squared_norms(g_, traces_);
    common_bound_ = op_.curvature_bound(g_);
  }
  return std::isfinite(common_bound_);
}

void BlockSpectra::prepare(const std::vector<Index>& blocks, ConstVectorRef h) {
  follow(h);
  std::vector<Index> missing;
  for (const Index b : blocks) {
    if (spectra_.count(b) != 0) continue;
    const Index size = op_.block_size(b);
    if (!bounded(size)) {
      missing.push_back(b);
      continue;
    }
    BlockSpectrum& spectrum = spectra_[b];
    spectrum.values = Vector::Constant(size, std::min(common_bound_, traces_[b]));
    spectrum.mean = traces_[b] / static_cast<double>(size);
  }
  std::vector<BlockSpectrum> found(missing.size());
  double work = 0.0;
  for (const Index b : missing) {
    const Index size = op_.block_size(b);
    work += 0.25 * static_cast<double>(op_.n_samples() * size * size);
  }
  const int n_threads = worthwhile_threads(work, n_threads_);
  parallel_for(static_cast<Index>(missing.size()), n_threads, [&](Index j, int) {
    const Index size = op_.block_size(missing[j]);
    Matrix gram(size, size);
    op_.gram(missing[j], g_, gram);
    found[j] = decompose(gram);
    found[j].mean = gram.trace() / static_cast<double>(size);
  });
  for (std::size_t j = 0; j < missing.size(); ++j) {
    const Index size = op_.block_size(missing[j]);
    effort_ += cost::gram(op_.n_samples(), size);
    if (found[j].exact()) effort_ += cost::eigenvectors(size);
    spectra_.emplace(missing[j], std::move(found[j]));
  }
}

}  // namespace cvxnn
