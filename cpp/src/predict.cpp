#include "cvxnn/predict.hpp"

#include <vector>

#include "cvxnn/patterns.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
// Full strips whatever the batch: the product of a row must not depend on its neighbours. Both
// lengths keep Eigen on one path, that of general products four rows at a time.
constexpr Index kRowsPerTask = 4 * kWordBits;
constexpr Index kFewRows = 20;  // less, and small products would be sums of another order

// x times weights, in a strip of so many rows, zeros after those of x.
template <class T>
DataMatrix<double> times(const DataMap<T>& x, const DataMap<double>& weights, Index strip_rows) {
  DataMatrix<double> rows = DataMatrix<double>::Zero(strip_rows, x.cols());
  rows.topRows(x.rows()) = x.template cast<double>();
  return rows * weights;
}

template <class T>
DataMatrix<double> times(const SparseRows<T>& x, const DataMap<double>& weights, Index strip_rows) {
  DataMatrix<double> out = DataMatrix<double>::Zero(strip_rows, weights.cols());
  for (Index i = 0; i < x.rows(); ++i) {
    x.for_each(i, [&](Index k, double value) { out.row(i) += value * weights.row(k); });
  }
  return out;
}

}  // namespace

template <class Samples>
void predict(const NetworkView& network, const Samples& x, int n_threads,
             Eigen::Ref<DataMatrix<double>> out) {
  const Index n = x.rows(), m = network.hidden.cols();
  const bool gated = network.gates.cols() > 0;
  const Index n_tasks = (n + kRowsPerTask - 1) / kRowsPerTask;
  const Index strip_rows = n <= kFewRows ? kFewRows : kRowsPerTask;
  parallel_for(n_tasks, n_threads, [&](Index task, int) {
    const Index first = task * kRowsPerTask, count = std::min(kRowsPerTask, n - first);
    const Samples samples = middle_rows(x, first, count);
    DataMatrix<double> h = times(samples, network.hidden, strip_rows);
    h.rowwise() += network.hidden_bias.transpose();
    if (gated) {
      std::vector<Word> words(static_cast<std::size_t>(word_count(count) * m));
      pack_patterns(samples, network.gates, network.gate_bias, 1, words.data());
      const PatternView patterns{words.data(), count, m};
      for (Index i = 0; i < count; ++i) {
        for (Index j = 0; j < m; ++j) {
          if (!patterns.bit(i, j)) h(i, j) = 0.0;
        }
      }
    } else {
      h = h.cwiseMax(0.0);
    }
    DataMatrix<double> f = h * network.output;
    f.rowwise() += network.output_bias.transpose();
    if (network.skip.rows() > 0) f += times(samples, network.skip, strip_rows);
    out.middleRows(first, count) = f.topRows(count);
  });
}

#define CVXNN_INSTANTIATE(Samples) \
  template void predict(const NetworkView&, const Samples&, int, Eigen::Ref<DataMatrix<double>>);
CVXNN_INSTANTIATE(DataMap<float>)
CVXNN_INSTANTIATE(DataMap<double>)
CVXNN_INSTANTIATE(SparseRows<float>)
CVXNN_INSTANTIATE(SparseRows<double>)
#undef CVXNN_INSTANTIATE

}  // namespace cvxnn
