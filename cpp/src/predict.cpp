#include "cvxnn/predict.hpp"

#include <vector>

#include "cvxnn/patterns.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {
// Full strips whatever the batch: the product of a row must not depend on its neighbours. All
// lengths keep Eigen on one path, that of general products four rows at a time.
constexpr Index kRowsPerTask = 4 * kWordBits;
constexpr Index kPanelRows = 4;
constexpr Index kFewRows = 20;  // sum of the lengths at which products are general ones

// The rows of a strip that holds n. Of a panel alone, products with narrow matrices would be sums
// of another order.
Index strip_rows(const NetworkView& network, Index n) {
  if (n > kFewRows) return kRowsPerTask;
  const auto general = [](const DataMap<double>& weights) {
    return kPanelRows + weights.rows() + weights.cols() >= kFewRows;
  };
  const bool panel = n <= kPanelRows && general(network.hidden) && general(network.output) &&
                     (network.skip.rows() == 0 || general(network.skip));
  return panel ? kPanelRows : kFewRows;
}

// x times weights, in a strip of so many rows, zeros after those of x.
template <class T>
DataMatrix<double> times(const DataMap<T>& x, const DataMap<double>& weights, Index length) {
  DataMatrix<double> rows = DataMatrix<double>::Zero(length, x.cols());
  rows.topRows(x.rows()) = x.template cast<double>();
  return rows * weights;
}

template <class T>
DataMatrix<double> times(const SparseRows<T>& x, const DataMap<double>& weights, Index length) {
  DataMatrix<double> out = DataMatrix<double>::Zero(length, weights.cols());
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
  const Index length = strip_rows(network, n);
  parallel_for(n_tasks, n_threads, [&](Index task, int) {
    const Index first = task * kRowsPerTask, count = std::min(kRowsPerTask, n - first);
    const Samples samples = middle_rows(x, first, count);
    DataMatrix<double> h = times(samples, network.hidden, length);
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
    if (network.skip.rows() > 0) f += times(samples, network.skip, length);
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
