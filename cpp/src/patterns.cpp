#include "cvxnn/patterns.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "cvxnn/aligned.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

constexpr int kLanes = 8;            // gates scored together
constexpr Index kWordsPerTask = 16;  // 1024 samples
using Lane = Packet<double, kLanes>;

// Scores of Rows samples against one tile of gates. Each lane sums over the features in order, so a
// score does not depend on which samples and gates happen to share a call.
template <int Rows, class T>
void score_rows(const T* x, Index n_features, const double* gate_tile, Lane* scores) {
  std::array<Lane, Rows> sums;
  for (Lane& sum : sums) sum.setZero();
  for (Index k = 0; k < n_features; ++k) {
    const Lane gate = Eigen::Map<const Lane, Eigen::Aligned64>(gate_tile + k * kLanes);
    for (int r = 0; r < Rows; ++r) {
      sums[r] += gate * static_cast<double>(x[r * n_features + k]);
    }
  }
  for (int r = 0; r < Rows; ++r) scores[r] = sums[r];
}

// The kLanes words of samples [first, first + count), count <= 64.
template <class T>
std::array<Word, kLanes> pack_word(const DataMap<T>& x, Index first, Index count,
                                   const double* gate_tile, const Lane& offsets) {
  constexpr int kRows = 4;
  std::array<Word, kLanes> words{};
  std::array<Lane, kRows> scores;
  for (Index i = 0; i < count;) {
    const T* row = x.data() + (first + i) * x.cols();
    Index done = kRows;
    if (count - i >= kRows) {
      score_rows<kRows>(row, x.cols(), gate_tile, scores.data());
    } else {
      score_rows<1>(row, x.cols(), gate_tile, scores.data());
      done = 1;
    }
    for (Index r = 0; r < done; ++r, ++i) {
      scores[r] += offsets;
      for (int lane = 0; lane < kLanes; ++lane) {
        words[lane] |= static_cast<Word>(scores[r][lane] > 0.0) << i;
      }
    }
  }
  return words;
}

// 128 bits from two multiplicative streams; equal hashes are confirmed word by word.
struct Hash {
  Word a = 0x9E3779B97F4A7C15ULL;
  Word b = 0xC2B2AE3D27D4EB4FULL;

  void add(Word w) {
    a = (a ^ w) * 0xFF51AFD7ED558CCDULL;
    a ^= a >> 32;
    b = (b + w) * 0xC4CEB9FE1A85EC53ULL;
    b ^= b >> 29;
  }
};

bool same_pattern(const PatternView& patterns, Index p, Index q) {
  for (Index w = 0; w < patterns.n_words(); ++w) {
    if (patterns.word(w, p) != patterns.word(w, q)) return false;
  }
  return true;
}

}  // namespace

template <class T>
void pack_patterns(const DataMap<T>& x, const DataMap<double>& gates, ConstVectorRef offsets,
                   int n_threads, Word* words) {
  const Index n = x.rows(), d = x.cols(), n_gates = gates.cols();
  const Index n_words = word_count(n);
  const Index n_tasks = (n_words + kWordsPerTask - 1) / kWordsPerTask;
  const int team = team_size(n_tasks, n_threads);
  std::vector<AlignedBuffer<double>> tiles(team);

  parallel_for(n_tasks, n_threads, [&](Index task, int thread) {
    Eigen::Map<Matrix, Eigen::Aligned64> tile(tiles[thread].reserve(kLanes * d), kLanes, d);
    const Index end = std::min(n_words, (task + 1) * kWordsPerTask);
    for (Index p = 0; p < n_gates; p += kLanes) {
      const Index width = std::min<Index>(kLanes, n_gates - p);
      tile.setZero();
      tile.topRows(width) = gates.middleCols(p, width).transpose();
      Lane offset = Lane::Zero();
      if (offsets.size() > 0) offset.head(width) = offsets.segment(p, width).array();
      for (Index w = task * kWordsPerTask; w < end; ++w) {
        const Index first = w * kWordBits;
        const auto packed =
            pack_word(x, first, std::min(kWordBits, n - first), tile.data(), offset);
        std::copy_n(packed.begin(), width, words + w * n_gates + p);
      }
    }
  });
}

template <class T>
void pack_patterns(const SparseRows<T>& x, const DataMap<double>& gates, ConstVectorRef offsets,
                   int n_threads, Word* words) {
  const Index n = x.rows(), n_gates = gates.cols(), n_words = word_count(n);
  const Index n_tasks = (n_words + kWordsPerTask - 1) / kWordsPerTask;
  parallel_for(n_tasks, n_threads, [&](Index task, int) {
    Vector scores(n_gates);
    const Index end = std::min(n_words, (task + 1) * kWordsPerTask);
    for (Index w = task * kWordsPerTask; w < end; ++w) {
      Word* to = words + w * n_gates;
      std::fill_n(to, n_gates, Word{0});
      const Index first = w * kWordBits, count = std::min(kWordBits, n - first);
      for (Index i = 0; i < count; ++i) {
        scores.setZero();
        x.for_each(first + i,
                   [&](Index k, double value) { scores += value * gates.row(k).transpose(); });
        if (offsets.size() > 0) scores += offsets;
        for (Index p = 0; p < n_gates; ++p) to[p] |= static_cast<Word>(scores[p] > 0.0) << i;
      }
    }
  });
}

std::vector<Index> unique_patterns(Word* words, Index n_samples, Index n_patterns) {
  const PatternView patterns{words, n_samples, n_patterns};
  const Index n_words = patterns.n_words();
  std::vector<Hash> hashes(n_patterns);
  std::vector<Word> any(n_patterns, 0);
  for (Index w = 0; w < n_words; ++w) {
    const Word* row = patterns.row(w);
    for (Index p = 0; p < n_patterns; ++p) {
      hashes[p].add(row[p]);
      any[p] |= row[p];
    }
  }

  std::vector<Index> kept;
  std::unordered_multimap<Word, Index> seen;
  seen.reserve(n_patterns);
  for (Index p = 0; p < n_patterns; ++p) {
    if (any[p] == 0) continue;  // the empty pattern: its block is identically zero
    const auto [first, last] = seen.equal_range(hashes[p].a);
    const bool duplicate = std::any_of(first, last, [&](const auto& entry) {
      return hashes[entry.second].b == hashes[p].b && same_pattern(patterns, entry.second, p);
    });
    if (duplicate) continue;
    seen.emplace(hashes[p].a, p);
    kept.push_back(p);
  }

  // Row by row to the front: a destination never lies behind its source.
  Word* out = words;
  for (Index w = 0; w < n_words; ++w) {
    const Word* row = patterns.row(w);
    for (const Index p : kept) *out++ = row[p];
  }
  return kept;
}

#define CVXNN_INSTANTIATE(Samples) \
  template void pack_patterns(const Samples&, const DataMap<double>&, ConstVectorRef, int, Word*);
CVXNN_INSTANTIATE(DataMap<float>)
CVXNN_INSTANTIATE(DataMap<double>)
CVXNN_INSTANTIATE(SparseRows<float>)
CVXNN_INSTANTIATE(SparseRows<double>)
#undef CVXNN_INSTANTIATE

}  // namespace cvxnn
