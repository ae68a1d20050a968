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
}  // namespace

template <class T>
void predict(const NetworkView& network, const DataMap<T>& x, int n_threads,
             Eigen::Ref<DataMatrix<double>> out) {
  const Index n = x.rows(), d = x.cols(), m = network.hidden.cols();
  const bool gated = network.gates.cols() > 0;
  const Index n_tasks = (n + kRowsPerTask - 1) / kRowsPerTask;
  const Index strip_rows = n <= kFewRows ? kFewRows : kRowsPerTask;
  parallel_for(n_tasks, n_threads, [&](Index task, int) {
    const Index first = task * kRowsPerTask, count = std::min(kRowsPerTask, n - first);
    DataMatrix<double> rows = DataMatrix<double>::Zero(strip_rows, d);
    rows.topRows(count) = x.middleRows(first, count).template cast<double>();
    DataMatrix<double> h = rows * network.hidden;
    h.rowwise() += network.hidden_bias.transpose();
    if (gated) {
      std::vector<Word> words(static_cast<std::size_t>(word_count(count) * m));
      const DataMap<T> strip(x.data() + first * d, count, d);
      pack_patterns(strip, network.gates, network.gate_bias, 1, words.data());
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
    if (network.skip.rows() > 0) f.noalias() += rows * network.skip;
    out.middleRows(first, count) = f.topRows(count);
  });
}

template void predict(const NetworkView&, const DataMap<float>&, int,
                      Eigen::Ref<DataMatrix<double>>);
template void predict(const NetworkView&, const DataMap<double>&, int,
                      Eigen::Ref<DataMatrix<double>>);

}  // namespace cvxnn
