#include "cvxnn/kernels/sample_gram.hpp"

#include <algorithm>

#include "cvxnn/aligned.hpp"
#include "cvxnn/kernels/bit_product.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn::kernels {
namespace {

constexpr int kLanes = kWideLanes<double>;

struct PanelScratch {
  AlignedBuffer<double> tables, tile, sums;
  Matrix products;  // of the panel's samples with those below
};

// bits[v * stride + i]: patterns 64 v .. 64 v + 63 of the list at sample i.
std::vector<Word> patterns_of_samples(const PatternView& patterns, const std::vector<Index>& list,
                                      Index stride, int n_threads) {
  const Index n_in = static_cast<Index>(list.size());
  std::vector<Word> bits((n_in + kWordBits - 1) / kWordBits * stride);
  parallel_for(patterns.n_words(), n_threads, [&](Index w, int) {
    for (Index v = 0; v * kWordBits < n_in; ++v) {
      Word* block = bits.data() + v * stride + w * kWordBits;
      const Index count = std::min(kWordBits, n_in - v * kWordBits);
      for (Index j = 0; j < count; ++j) block[j] = patterns.word(w, list[v * kWordBits + j]);
      std::fill(block + count, block + kWordBits, Word{0});
      transpose64(block);
    }
  });
  return bits;
}

}  // namespace

// Panels of 64 columns of S, from the diagonal down; each is the forward product of the bits with
// the scaled patterns of its samples.
void masked_sample_gram(const PanelProducts& products, const PatternView& patterns,
                        const std::vector<Index>& list, ConstVectorRef scales, int n_threads,
                        Control& control, MatrixRef S) {
  const Index n = patterns.n_samples, n_in = static_cast<Index>(list.size());
  const Index stride = patterns.n_words() * kWordBits;
  n_threads = worthwhile_threads(0.1 * static_cast<double>(n * n) * n_in, n_threads);
  const std::vector<Word> bits = patterns_of_samples(patterns, list, stride, n_threads);
  std::vector<PanelScratch> scratch(std::max(1, n_threads));

  parallel_for(patterns.n_words(), n_threads, [&](Index w, int thread) {
    PanelScratch& s = scratch[thread];
    const Index first = w * kWordBits, below = n - first, width = std::min(kWordBits, below);
    s.products.resize(below, width);
    products(first, s.products);
    double* tables = s.tables.reserve(table_size<double>());
    double* tile = s.tile.reserve(kInputs * kLanes);
    double* sums = s.sums.reserve(below * kLanes);
    for (Index lane = 0; lane < width; lane += kLanes) {
      std::fill(sums, sums + below * kLanes, 0.0);
      for (Index v = 0; v * kWordBits < n_in; ++v) {
        const Index used = std::min(kWordBits, n_in - v * kWordBits);
        for (Index j = 0; j < used; ++j) {
          const Index p = v * kWordBits + j;
          const Word word = patterns.word(w, list[p]) >> lane;
          for (int l = 0; l < kLanes; ++l) {
            tile[j * kLanes + l] = (word >> l) & 1U ? scales[p] : 0.0;
          }
        }
        bit_product(bits.data() + v * stride + first, below, tile, used, kLanes, sums, tables);
      }
      const Index lanes = std::min<Index>(kLanes, width - lane);
      for (Index l = 0; l < lanes; ++l) {
        const double* product = s.products.data() + (lane + l) * below;
        double* to = S.data() + (first + lane + l) * S.outerStride() + first;
        for (Index i = lane + l; i < below; ++i) to[i] = product[i] * sums[i * kLanes + l];
      }
    }
  });
  control.poll();
}

}  // namespace cvxnn::kernels
