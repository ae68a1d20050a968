#include "cvxnn/kernels/masked_product.hpp"

#include <algorithm>

#include "cvxnn/kernels/bit_product.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn::kernels {
namespace {

// Sums over samples run in A within a strip of 2048 samples and in double across strips: float
// tables keep about six digits whatever n is. Chunks of strips are the unit of parallel work; they
// depend on n alone and are added in order, so that results do not depend on threads.
constexpr Index kStripWords = 32;
constexpr Index kStrip = kStripWords * kWordBits;
constexpr Index kMaxChunks = 16;
constexpr Index kStoredPatterns = 256;
// Bytes of transposed patterns that are kept from one forward product to the next, as a share of
// the data's: iterations of a solver repeat the same list hundreds of times.
constexpr double kKeptShare = 0.5;

Index divide_up(Index a, Index b) { return (a + b - 1) / b; }

bool is_range(const std::vector<Index>& list) {
  for (std::size_t j = 1; j < list.size(); ++j) {
    if (list[j] != list[j - 1] + 1) return false;
  }
  return true;
}

// Words of the listed patterns for samples 64 w ...; in place where the list is a range.
const Word* listed_words(const PatternView& patterns, Index w, const std::vector<Index>& list,
                         bool range, Word* buffer) {
  const Word* row = patterns.row(w);
  if (range) return row + list.front();
  for (std::size_t j = 0; j < list.size(); ++j) buffer[j] = row[list[j]];
  return buffer;
}

// tile[i] = scale r_i x_i on each slice of a group, in A, zero-padded to the lanes; the tiles stand
// kInputs x kWideLanes<A> apart. Row by row, for x is read from memory and the tiles from a cache.
template <class T, class A>
void load_samples(const DataMap<T>& x, ConstMatrixRef R, double scale, const Tile* tiles,
                  Index n_tiles, Index first, Index count, A* out) {
  constexpr int kWide = kWideLanes<A>;
  for (Index i = 0; i < count; ++i) {
    const T* row = x.data() + (first + i) * x.cols();
    for (Index k = 0; k < n_tiles; ++k) {
      const Tile& t = tiles[k];
      const A r = static_cast<A>(scale * R(first + i, t.output));
      A* to = out + k * kInputs * kWide + i * t.lanes;
      if (t.width == kWide) {
        const Eigen::Map<const Packet<T, kWide>> from(row + t.first);
        Eigen::Map<Packet<A, kWide>, Eigen::Aligned32> wide(to);
        wide = r * from.template cast<A>();
        continue;
      }
      for (Index j = 0; j < t.width; ++j) to[j] = r * static_cast<A>(row[t.first + j]);
      std::fill(to + t.width, to + t.lanes, A{0});
    }
  }
}

// Tiles whose sums stay in a second-level cache together are done word by word, so that rows of x
// are read from end to end.
constexpr Index kGroupBytes = Index{1} << 18;
template <class A>
Index tiles_per_group(Index n_out) {
  return std::max<Index>(1, kGroupBytes / (n_out * kWideLanes<A> * static_cast<Index>(sizeof(A))));
}

// partial[t][p] = sum over the strips [first, last) of the listed patterns' gradients on each slice
// of a group of `n_tiles`, each kWideLanes<A> n_out long.
template <class T, class A>
void gradient_chunk(const DataMap<T>& x, const PatternView& patterns,
                    const std::vector<Index>& list, bool range, ConstMatrixRef R, double scale,
                    const Tile* tiles, Index n_tiles, Index first_strip, Index last_strip,
                    ThreadScratch<A>& s, double* partial) {
  const Index n_out = static_cast<Index>(list.size()), stride = n_out * kWideLanes<A>;
  A* sums = s.sums.reserve(n_tiles * stride);
  A* inputs = s.tile.reserve(n_tiles * kInputs * kWideLanes<A>);
  A* tables = s.tables.reserve(table_size<A>());
  Word* buffer = s.words.reserve(n_out);
  std::fill(partial, partial + n_tiles * stride, 0.0);
  std::fill(sums, sums + n_tiles * stride, A{0});
  for (Index strip = first_strip; strip < last_strip; ++strip) {
    const Index end = std::min(patterns.n_words(), (strip + 1) * kStripWords);
    for (Index w = strip * kStripWords; w < end; ++w) {
      const Index first = w * kWordBits, count = std::min(kWordBits, x.rows() - first);
      const Word* words = listed_words(patterns, w, list, range, buffer);
      load_samples(x, R, scale, tiles, n_tiles, first, count, inputs);
      for (Index t = 0; t < n_tiles; ++t) {
        const A* tile = inputs + t * kInputs * kWideLanes<A>;
        bit_product(words, n_out, tile, count, tiles[t].lanes, sums + t * stride, tables);
      }
    }
    for (Index e = 0; e < n_tiles * stride; ++e) {
      partial[e] += sums[e];
      sums[e] = 0;
    }
  }
}

}  // namespace

template <class A>
void ProductScratch<A>::prepare(Index n_features, Index outputs, int n_threads) {
  const std::size_t team = static_cast<std::size_t>(std::max(1, n_threads));
  if (threads.size() < team) threads.resize(team);
  if (n_outputs == outputs) return;
  n_outputs = outputs;
  tiles.clear();
  for (Index k = 0; k < outputs; ++k) {
    for (Index j = 0; j < n_features;) {
      const int lanes = tile_lanes<A>(n_features - j);
      const Index width = std::min<Index>(lanes, n_features - j);
      tiles.push_back({k, j, width, lanes});
      j += width;
    }
  }
}

template <class T, class A>
void masked_gradients(const DataMap<T>& x, const PatternView& patterns,
                      const std::vector<Index>& list, ConstMatrixRef R, int n_threads,
                      Control& control, ProductScratch<A>& scratch, double* out) {
  const Index n_out = static_cast<Index>(list.size());
  if (n_out == 0) return;
  n_threads = worthwhile_threads(1.0 * x.size() * R.cols() * n_out, n_threads);
  scratch.prepare(x.cols(), R.cols(), n_threads);
  const Index d = x.cols(), block = d * R.cols();
  const bool range = is_range(list);
  const Index n_strips = divide_up(x.rows(), kStrip);
  const Index strips_per_chunk = divide_up(n_strips, kMaxChunks);
  const Index n_chunks = divide_up(n_strips, strips_per_chunk);
  const Index n_tiles = static_cast<Index>(scratch.tiles.size());
  // Float tables see residuals of order one: theirs may lie outside the range of a float.
  const double largest = R.cwiseAbs().maxCoeff();
  const double scale = largest > 0.0 ? 1.0 / largest : 1.0;

  const Index per_group = std::min(n_tiles, tiles_per_group<A>(n_out));
  const Index n_groups = divide_up(n_tiles, per_group);
  const Index stride = n_out * kWideLanes<A>;  // of a tile's sums

  // out[p] = the sum of patterns [first, last) over the chunks, in their order.
  const auto store = [&](const Tile& t, double* sums, Index chunks, Index first, Index last) {
    for (Index p = first; p < last; ++p) {
      double* total = sums + p * t.lanes;
      for (Index chunk = 1; chunk < chunks; ++chunk) {
        const double* part = total + chunk * per_group * stride;
        for (Index j = 0; j < t.width; ++j) total[j] += part[j];
      }
      double* to = out + p * block + t.output * d + t.first;
      for (Index j = 0; j < t.width; ++j) to[j] = total[j] / scale;
    }
  };

  if (n_chunks == 1) {
    parallel_for(n_groups, n_threads, [&](Index group, int thread) {
      const Tile* tiles = scratch.tiles.data() + group * per_group;
      const Index count = std::min(per_group, n_tiles - group * per_group);
      ThreadScratch<A>& s = scratch.threads[thread];
      double* partial = s.partial.reserve(per_group * stride);
      gradient_chunk(x, patterns, list, range, R, scale, tiles, count, 0, n_strips, s, partial);
      for (Index t = 0; t < count; ++t) store(tiles[t], partial + t * stride, 1, 0, n_out);
    });
    control.poll();
    return;
  }

  double* partials = scratch.partials.reserve(n_chunks * per_group * stride);
  for (Index group = 0; group < n_groups; ++group) {
    const Tile* tiles = scratch.tiles.data() + group * per_group;
    const Index count = std::min(per_group, n_tiles - group * per_group);
    parallel_for(n_chunks, n_threads, [&](Index chunk, int thread) {
      const Index first = chunk * strips_per_chunk;
      gradient_chunk(x, patterns, list, range, R, scale, tiles, count, first,
                     std::min(n_strips, first + strips_per_chunk), scratch.threads[thread],
                     partials + chunk * per_group * stride);
    });
    const Index per_tile = divide_up(n_out, kStoredPatterns);
    parallel_for(count * per_tile, n_threads, [&](Index task, int) {
      const Index t = task / per_tile, first = task % per_tile * kStoredPatterns;
      store(tiles[t], partials + t * stride, n_chunks, first,
            std::min(n_out, first + kStoredPatterns));
    });
    control.poll();
  }
}

namespace {

// bits[v * kStrip + i]: patterns 64 v .. 64 v + 63 of the list at sample i of the strip.
void transpose_strip(const PatternView& patterns, const std::vector<Index>& list, Index strip,
                     Word* bits) {
  const Index n_in = static_cast<Index>(list.size());
  const Index first_word = strip * kStripWords;
  const Index end = std::min(patterns.n_words(), first_word + kStripWords);
  for (Index v = 0; v * kWordBits < n_in; ++v) {
    const Index count = std::min(kWordBits, n_in - v * kWordBits);
    for (Index w = first_word; w < end; ++w) {
      Word* block = bits + v * kStrip + (w - first_word) * kWordBits;
      const Word* row = patterns.row(w);
      for (Index j = 0; j < count; ++j) block[j] = row[list[v * kWordBits + j]];
      std::fill(block + count, block + kWordBits, Word{0});
      transpose64(block);
    }
  }
}

// f[i] += x_i . sums_i on a slice of all lanes. The processor does not foresee rows that are
// further apart than half a page.
template <class T, class A>
void add_wide_dots(const T* x, Index stride, Index count, const A* sums, double* f) {
  constexpr int kWide = kWideLanes<A>;
  constexpr Index kAhead = 12, kLine = 64 / sizeof(T);
  for (Index i = 0; i < count; ++i, x += stride, sums += kWide) {
    for (Index l = 0; l < kWide; l += kLine) __builtin_prefetch(x + kAhead * stride + l);
    const Eigen::Map<const Packet<T, kWide>> row(x);
    const Eigen::Map<const Packet<A, kWide>, Eigen::Aligned32> sum(sums);
    f[i] += static_cast<double>((row.template cast<A>() * sum).sum());
  }
}

// The same on fewer columns than lanes.
template <class T, class A, int Lanes>
void add_row_dots(const T* x, Index stride, Index count, Index width, const A* sums, double* f) {
  using Row = Packet<A, Lanes>;
  Row row = Row::Zero();
  for (Index i = 0; i < count; ++i, x += stride, sums += Lanes) {
    for (Index l = 0; l < width; ++l) row[l] = static_cast<A>(x[l]);
    f[i] += static_cast<double>((row * Eigen::Map<const Row, Eigen::Aligned32>(sums)).sum());
  }
}

template <class T, class A>
void forward_strip(const DataMap<T>& x, const PatternView& patterns, const std::vector<Index>& list,
                   const double* coefs, const std::vector<Tile>& tiles, Index n_outputs,
                   Index strip, const Word* kept, ThreadScratch<A>& s, MatrixRef F) {
  const Index n_in = static_cast<Index>(list.size()), d = x.cols(), block = d * n_outputs;
  const Index first = strip * kStrip, count = std::min(kStrip, x.rows() - first);
  A* sums = s.sums.reserve(kStrip * kWideLanes<A>);
  A* tile = s.tile.reserve(kInputs * kWideLanes<A>);
  A* tables = s.tables.reserve(table_size<A>());
  const Word* bits = kept;
  if (kept == nullptr) {
    Word* own = s.words.reserve(divide_up(n_in, kWordBits) * kStrip);
    transpose_strip(patterns, list, strip, own);
    bits = own;
  }
  F.middleRows(first, count).setZero();
  for (const Tile& t : tiles) {
    std::fill(sums, sums + count * t.lanes, A{0});
    for (Index p = 0; p < n_in; p += kWordBits) {
      const Index used = std::min(kWordBits, n_in - p);
      for (Index j = 0; j < used; ++j) {
        const double* w = coefs + (p + j) * block + t.output * d + t.first;
        A* row = tile + j * t.lanes;
        for (Index l = 0; l < t.width; ++l) row[l] = static_cast<A>(w[l]);
        std::fill(row + t.width, row + t.lanes, A{0});
      }
      bit_product(bits + p / kWordBits * kStrip, count, tile, used, t.lanes, sums, tables);
    }
    constexpr int kWide = kWideLanes<A>;
    const T* rows = x.data() + first * d + t.first;
    double* f = F.col(t.output).data() + first;
    if (t.width == kWide) {
      add_wide_dots<T, A>(rows, d, count, sums, f);
    } else if (t.lanes == kWide) {
      add_row_dots<T, A, kWide>(rows, d, count, t.width, sums, f);
    } else if (t.lanes == kWide / 2) {
      add_row_dots<T, A, kWide / 2>(rows, d, count, t.width, sums, f);
    } else {
      add_row_dots<T, A, kWide / 4>(rows, d, count, t.width, sums, f);
    }
  }
}

}  // namespace

template <class T, class A>
void masked_forward(const DataMap<T>& x, const PatternView& patterns,
                    const std::vector<Index>& list, const double* coefs, int n_threads,
                    ProductScratch<A>& scratch, MatrixRef F) {
  const double work = 1.0 * x.size() * F.cols() * static_cast<double>(list.size());
  n_threads = worthwhile_threads(work, n_threads);
  scratch.prepare(x.cols(), F.cols(), n_threads);
  const Index n_strips = divide_up(x.rows(), kStrip);
  const Index strip_words = divide_up(static_cast<Index>(list.size()), kWordBits) * kStrip;
  const double bytes = static_cast<double>(n_strips * strip_words) * sizeof(Word);
  const bool keep = bytes <= kKeptShare * sizeof(T) * static_cast<double>(x.size());
  if (keep && list != scratch.bits_list) {
    Word* bits = scratch.bits.reserve(n_strips * strip_words);
    parallel_for(n_strips, n_threads, [&](Index strip, int) {
      transpose_strip(patterns, list, strip, bits + strip * strip_words);
    });
    scratch.bits_list = list;
  }
  parallel_for(n_strips, n_threads, [&](Index strip, int thread) {
    const Word* kept = keep ? scratch.bits.data() + strip * strip_words : nullptr;
    forward_strip(x, patterns, list, coefs, scratch.tiles, F.cols(), strip, kept,
                  scratch.threads[thread], F);
  });
}

template struct ProductScratch<float>;
template struct ProductScratch<double>;

#define CVXNN_INSTANTIATE(T, A)                                                                    \
  template void masked_gradients(const DataMap<T>&, const PatternView&, const std::vector<Index>&, \
                                 ConstMatrixRef, int, Control&, ProductScratch<A>&, double*);      \
  template void masked_forward(const DataMap<T>&, const PatternView&, const std::vector<Index>&,   \
                               const double*, int, ProductScratch<A>&, MatrixRef);
CVXNN_INSTANTIATE(float, float)
CVXNN_INSTANTIATE(float, double)
CVXNN_INSTANTIATE(double, double)
#undef CVXNN_INSTANTIATE

}  // namespace cvxnn::kernels
