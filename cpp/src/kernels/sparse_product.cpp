#include "cvxnn/kernels/sparse_product.hpp"

#include <algorithm>
#include <array>

#include "cvxnn/threads.hpp"

namespace cvxnn::kernels {
namespace {

constexpr int kLanes = 8;           // a cache line of doubles for each entry of X
constexpr Index kStripWords = 16;   // 1024 samples
constexpr Index kTilesAtOnce = 64;  // between looks at signals
using Lane = Packet<double, kLanes>;
using Lanes = Eigen::Map<Lane, Eigen::Aligned64>;
using ConstLanes = Eigen::Map<const Lane, Eigen::Aligned64>;

Index divide_up(Index a, Index b) { return (a + b - 1) / b; }

// Up to kLanes consecutive (pattern, output) pairs of a list, outputs running first.
struct Tile {
  Index first;  // pair
  int width;
  std::array<Index, kLanes> patterns, outputs;

  Tile(const std::vector<Index>& list, Index n_outputs, Index tile) : first(tile * kLanes) {
    const Index n_pairs = static_cast<Index>(list.size()) * n_outputs;
    width = static_cast<int>(std::min<Index>(kLanes, n_pairs - first));
    for (int l = 0; l < width; ++l) {
      patterns[l] = list[(first + l) / n_outputs];
      outputs[l] = (first + l) % n_outputs;
    }
  }

  // fn(i, bits) for samples of words [first_word, last_word) at which any pattern is active:
  // bits[l] tells whether that of lane l is.
  template <class Fn>
  void for_each_active(const PatternView& view, Index first_word, Index last_word, Fn&& fn) const {
    std::array<Word, kLanes> words{};
    std::array<bool, kLanes> bits{};
    for (Index w = first_word; w < last_word; ++w) {
      Word any = 0;
      for (int l = 0; l < width; ++l) any |= words[l] = view.word(w, patterns[l]);
      for (; any != 0; any &= any - 1) {
        const int k = __builtin_ctzll(any);
        for (int l = 0; l < kLanes; ++l) bits[l] = (words[l] >> k) & 1U;
        fn(w * kWordBits + k, bits);
      }
    }
  }
};

int threads_for(Index n_entries, Index n_samples, Index n_pairs, int n_threads) {
  const double steps = static_cast<double>(n_entries + n_samples);
  return worthwhile_threads(steps * static_cast<double>(n_pairs), n_threads);
}

}  // namespace

template <class T>
void sparse_gradients(const SparseRows<T>& x, const PatternView& patterns,
                      const std::vector<Index>& list, ConstMatrixRef R, int n_threads,
                      Control& control, SparseScratch& scratch, double* out) {
  const Index d = x.cols(), n_pairs = static_cast<Index>(list.size()) * R.cols();
  const Index n_tiles = divide_up(n_pairs, kLanes);
  n_threads = threads_for(x.n_entries(), x.rows(), n_pairs, n_threads);
  if (scratch.sums.size() < static_cast<std::size_t>(n_threads)) scratch.sums.resize(n_threads);

  const auto price = [&](const Tile& tile, double* sums) {
    std::fill(sums, sums + d * kLanes, 0.0);
    tile.for_each_active(patterns, 0, patterns.n_words(), [&](Index i, const auto& bits) {
      Lane r = Lane::Zero();
      for (int l = 0; l < tile.width; ++l) r[l] = bits[l] ? R(i, tile.outputs[l]) : 0.0;
      x.for_each(i, [&](Index k, double value) { Lanes(sums + k * kLanes) += value * r; });
    });
    for (int l = 0; l < tile.width; ++l) {
      double* to = out + (tile.first + l) * d;
      for (Index k = 0; k < d; ++k) to[k] = sums[k * kLanes + l];
    }
  };
  for (Index first = 0; first < n_tiles; first += kTilesAtOnce) {
    const Index count = std::min(kTilesAtOnce, n_tiles - first);
    parallel_for(count, n_threads, [&](Index t, int thread) {
      price(Tile(list, R.cols(), first + t), scratch.sums[thread].reserve(d * kLanes));
    });
    control.poll();
  }
}

template <class T>
void sparse_forward(const SparseRows<T>& x, const PatternView& patterns,
                    const std::vector<Index>& list, const double* coefs, int n_threads,
                    SparseScratch& scratch, MatrixRef F) {
  const Index d = x.cols(), n_pairs = static_cast<Index>(list.size()) * F.cols();
  const Index n_tiles = divide_up(n_pairs, kLanes);
  n_threads = threads_for(x.n_entries(), x.rows(), n_pairs, n_threads);
  double* lanes = scratch.coefs.reserve(n_tiles * d * kLanes);
  parallel_for(n_tiles, n_threads, [&](Index t, int) {
    double* to = lanes + t * d * kLanes;
    const int width = Tile(list, F.cols(), t).width;
    std::fill(to, to + d * kLanes, 0.0);
    for (int l = 0; l < width; ++l) {
      const double* from = coefs + (t * kLanes + l) * d;
      for (Index k = 0; k < d; ++k) to[k * kLanes + l] = from[k];
    }
  });

  parallel_for(divide_up(patterns.n_words(), kStripWords), n_threads, [&](Index strip, int) {
    const Index first = strip * kStripWords;
    const Index last = std::min(patterns.n_words(), first + kStripWords);
    const Index i0 = first * kWordBits;
    F.middleRows(i0, std::min(x.rows() - i0, kStripWords * kWordBits)).setZero();
    for (Index t = 0; t < n_tiles; ++t) {
      const Tile tile(list, F.cols(), t);
      const double* from = lanes + t * d * kLanes;
      tile.for_each_active(patterns, first, last, [&](Index i, const auto& bits) {
        Lane sum = Lane::Zero();
        x.for_each(i, [&](Index k, double v) { sum += v * ConstLanes(from + k * kLanes); });
        for (int l = 0; l < tile.width; ++l) {
          if (bits[l]) F(i, tile.outputs[l]) += sum[l];
        }
      });
    }
  });
}

#define CVXNN_INSTANTIATE(T)                                                                  \
  template void sparse_gradients(const SparseRows<T>&, const PatternView&,                    \
                                 const std::vector<Index>&, ConstMatrixRef, int, Control&,    \
                                 SparseScratch&, double*);                                    \
  template void sparse_forward(const SparseRows<T>&, const PatternView&,                      \
                               const std::vector<Index>&, const double*, int, SparseScratch&, \
                               MatrixRef);
CVXNN_INSTANTIATE(float)
CVXNN_INSTANTIATE(double)
#undef CVXNN_INSTANTIATE

}  // namespace cvxnn::kernels
