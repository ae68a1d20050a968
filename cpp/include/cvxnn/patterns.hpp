// Activation patterns D_p = diag(1[X g_p > 0]), one bit a sample (Pilanci and Ergen 2020, sec. 2).
#pragma once

#include <vector>

#include "cvxnn/sparse_rows.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

using Word = std::uint64_t;
constexpr Index kWordBits = 64;

inline Index word_count(Index n_samples) { return (n_samples + kWordBits - 1) / kWordBits; }

// A view of packed patterns. Word-major: words[w * n_patterns + p] holds samples 64 w .. 64 w + 63
// of pattern p (sample 64 w + k in bit k), so that the kernels, which treat 64 samples of all
// patterns at a time, read memory in order. Bits past n_samples are zero.
struct PatternView {
  const Word* words = nullptr;
  Index n_samples = 0;
  Index n_patterns = 0;

  Index n_words() const { return word_count(n_samples); }
  const Word* row(Index w) const { return words + w * n_patterns; }
  Word word(Index w, Index p) const { return words[w * n_patterns + p]; }
  bool bit(Index i, Index p) const { return (word(i / kWordBits, p) >> (i % kWordBits)) & 1U; }

  // Calls fn(i) for every active sample of pattern p, in order.
  template <class Fn>
  void for_each_active(Index p, Fn&& fn) const {
    for (Index w = 0; w < n_words(); ++w) {
      for (Word bits = word(w, p); bits != 0; bits &= bits - 1) {
        fn(w * kWordBits + __builtin_ctzll(bits));
      }
    }
  }
};

// Packs 1[x_i . g_p + offset_p > 0] into words (n_words x n_gates, word-major). The scores are
// accumulated in double, feature by feature and the offset last, without fused operations: the bits
// depend on the values only, not on dtype, threads, CPU level or batch.
// gates: n_features x n_gates, row-major. offsets: n_gates, or empty for none.
template <class T>
void pack_patterns(const DataMap<T>& x, const DataMap<double>& gates, ConstVectorRef offsets,
                   int n_threads, Word* words);

// The same of sparse data, with the same bits: products with zeros change no sum.
template <class T>
void pack_patterns(const SparseRows<T>& x, const DataMap<double>& gates, ConstVectorRef offsets,
                   int n_threads, Word* words);

// Column indices of the distinct, non-empty patterns, first occurrence kept, in order. Moves their
// words to the front, in place: afterwards words is n_words x result.size().
std::vector<Index> unique_patterns(Word* words, Index n_samples, Index n_patterns);

}  // namespace cvxnn
