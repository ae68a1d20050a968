// Sparse data (n_samples x n_features), one sample a row, in the caller's memory.
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// Compressed rows: the entries of row i are those from starts[i] to starts[i + 1] - 1. Columns
// ascend within a row, so that sums over a row are in the order of dense ones. Columns are 32 bits,
// which halves their traffic and is what SciPy has; starts are 64.
template <class T>
struct SparseRows {
  const T* values = nullptr;
  const std::int32_t* columns = nullptr;
  const Index* starts = nullptr;
  Index n_samples = 0;
  Index n_features = 0;

  Index rows() const { return n_samples; }
  Index cols() const { return n_features; }
  Index n_entries() const { return starts[n_samples] - starts[0]; }

  // Calls fn(column, value) for every entry of row i, in order.
  template <class Fn>
  void for_each(Index i, Fn&& fn) const {
    for (Index e = starts[i]; e < starts[i + 1]; ++e) {
      fn(Index{columns[e]}, static_cast<double>(values[e]));
    }
  }

  // x_i . w
  template <class Column>
  double dot(Index i, const Column& w) const {
    double sum = 0.0;
    for_each(i, [&](Index k, double value) { sum += value * w[k]; });
    return sum;
  }
};

template <class T>
SparseRows<T> middle_rows(const SparseRows<T>& x, Index first, Index count) {
  return {x.values, x.columns, x.starts + first, count, x.n_features};
}

}  // namespace cvxnn
