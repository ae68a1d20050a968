#include "cvxnn/operators/pattern_design.hpp"

#include <algorithm>
#include <numeric>

#include "cvxnn/errors.hpp"
#include "cvxnn/kernels/masked_product.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {

PatternDesign::PatternDesign(const PatternView& patterns, Index n_samples, Index n_features,
                             int n_threads)
    : patterns_(patterns), n_features_(n_features), n_threads_(n_threads) {
  require(n_samples == patterns.n_samples, "patterns were made from " +
                                               std::to_string(patterns.n_samples) +
                                               " samples, X has " + std::to_string(n_samples));
}

// Counted on 64 words of samples at most, spread evenly.
void PatternDesign::overlaps(const std::vector<Index>& blocks, MatrixRef out) const {
  constexpr Index kWords = 64;
  const Index m = static_cast<Index>(blocks.size());
  const Index n_words = patterns_.n_words(), used = std::min(kWords, n_words);
  std::vector<Word> words(m * used);
  for (Index k = 0; k < used; ++k) {
    const Word* row = patterns_.row(k * n_words / used);
    for (Index p = 0; p < m; ++p) words[p * used + k] = row[blocks[p]];
  }
  const double bit = 1.0 / static_cast<double>(std::min(used * kWordBits, n_samples()));
  const double work = static_cast<double>(m * m * used);
  parallel_for(m, worthwhile_threads(work, n_threads_), [&](Index q, int) {
    const Word* b = words.data() + q * used;
    for (Index p = q; p < m; ++p) {
      const Word* a = words.data() + p * used;
      Index count = 0;
      for (Index k = 0; k < used; ++k) count += __builtin_popcountll(a[k] & b[k]);
      out(p, q) = out(q, p) = bit * static_cast<double>(count);
    }
  });
}

// The pricing product of one feature, all ones, with the weighted energies of the rows.
void PatternDesign::squared_norms(ConstVectorRef h, VectorRef out) const {
  const Vector energies = h.cwiseProduct(row_energies());
  const DataMatrix<double> ones = DataMatrix<double>::Ones(n_samples(), 1);
  std::vector<Index> all(n_blocks());
  std::iota(all.begin(), all.end(), Index{0});
  Control control;
  kernels::ProductScratch<double> scratch;
  kernels::masked_gradients(DataMap<double>(ones.data(), n_samples(), 1), patterns_, all, energies,
                            n_threads_, control, scratch, out.data());
}

}  // namespace cvxnn
