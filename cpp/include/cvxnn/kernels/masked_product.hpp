// The two all-pattern products of masked data, on threads, in table arithmetic A (float or double):
//   pricing  out_p = X^T D_p R   for every pattern of a list
//   forward  F = sum_p D_p X W_p
// Architecture independent of solvers: raw data, packed patterns, plain arrays.
#pragma once

#include <vector>

#include "cvxnn/aligned.hpp"
#include "cvxnn/control.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn::kernels {

// Scratch space of one thread; grows on first use, then serves without allocation.
template <class A>
struct ThreadScratch {
  AlignedBuffer<A> tables, tile, sums;
  AlignedBuffer<double> partial;
  AlignedBuffer<Word> words;
};

// Columns [first, first + width) of output k, in `lanes` lanes.
struct Tile {
  Index output, first, width;
  int lanes;
};

template <class A>
struct ProductScratch {
  std::vector<ThreadScratch<A>> threads;
  AlignedBuffer<double> partials;  // one per chunk of samples
  std::vector<Index> bits_list;    // whose patterns
  AlignedBuffer<Word> bits;        // are kept, transposed, for the next forward product
  std::vector<Tile> tiles;         // of a product with n_outputs outputs
  Index n_outputs = 0;

  void prepare(Index n_features, Index outputs, int n_threads);
};

// out: the blocks of the list one after the other, each n_features x n_outputs, column-major.
template <class T, class A>
void masked_gradients(const DataMap<T>& x, const PatternView& patterns,
                      const std::vector<Index>& list, ConstMatrixRef R, int n_threads,
                      Control& control, ProductScratch<A>& scratch, double* out);

// coefs: laid out as `out` above. F is overwritten.
template <class T, class A>
void masked_forward(const DataMap<T>& x, const PatternView& patterns,
                    const std::vector<Index>& list, const double* coefs, int n_threads,
                    ProductScratch<A>& scratch, MatrixRef F);

}  // namespace cvxnn::kernels
