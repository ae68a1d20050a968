#include "cvxnn/predict.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kFeatures = 5, kOutputs = 3;

struct Network {
  DataMatrix<double> hidden, output, gates, skip;
  Vector hidden_bias, output_bias, gate_bias;

  Network(Index n_neurons, bool gated, bool with_skip, bool with_gate_bias)
      : hidden(random_data<double>(kFeatures, n_neurons, 1)),
        output(random_data<double>(n_neurons, kOutputs, 2)),
        gates(random_data<double>(kFeatures, gated ? n_neurons : 0, 3)),
        skip(random_data<double>(with_skip ? kFeatures : 0, kOutputs, 4)),
        hidden_bias(random_matrix(n_neurons, 1, 5)),
        output_bias(random_matrix(kOutputs, 1, 6)),
        gate_bias(random_matrix(with_gate_bias ? n_neurons : 0, 1, 7)) {}

  NetworkView view() const {
    const auto vector = [](const Vector& v) {
      return Eigen::Map<const Vector>(v.data(), v.size());
    };
    return {map(hidden), vector(hidden_bias), map(output), vector(output_bias),
            map(gates),  vector(gate_bias),   map(skip)};
  }

  bool active(const Vector& x, Index j, double score) const {
    if (gates.cols() == 0) return score > 0.0;
    const double offset = gate_bias.size() > 0 ? gate_bias[j] : 0.0;
    return x.dot(gates.col(j)) + offset > 0.0;
  }
  Vector naive(const Vector& x) const {
    Vector f = output_bias;
    for (Index j = 0; j < hidden.cols(); ++j) {
      const double score = x.dot(hidden.col(j)) + hidden_bias[j];
      if (active(x, j, score)) f += score * output.row(j).transpose();
    }
    if (skip.rows() > 0) f += skip.transpose() * x;
    return f;
  }
};

template <class T>
DataMatrix<double> predicted(const Network& network, const DataMatrix<T>& x,
                             int n_threads = kThreads) {
  DataMatrix<double> out = DataMatrix<double>::Constant(x.rows(), kOutputs, 9.0);
  predict(network.view(), map(x), n_threads, out);
  return out;
}

// Gated and not, with and without every optional part, from one neuron to many.
template <class Fn>
void for_each_network(Fn&& fn) {
  for (const Index n_neurons : {1, 2, 13, 70}) {
    for (const int kind : {0, 1, 2, 3, 4}) {
      CAPTURE(n_neurons);
      CAPTURE(kind);
      fn(Network(n_neurons, kind >= 2, kind % 2 == 1, kind == 4));
    }
  }
}

TEST_CASE_TEMPLATE("predictions are those of the formula", T, float, double) {
  for_each_network([](const Network& network) {
    for (const Index n : {1, 63, 300}) {
      CAPTURE(n);
      const auto x = random_data<T>(n, kFeatures, 10);
      const DataMatrix<double> out = predicted(network, x);
      for (Index i = 0; i < n; ++i) {
        const Vector row = x.row(i).transpose().template cast<double>();
        CHECK(relative_error(out.row(i).transpose(), network.naive(row)) <= 1e-12);
      }
    }
  });
}

TEST_CASE("a network without neurons is its bias and its skip connection") {
  const Network network(0, false, true, false);
  const auto x = random_data<double>(5, kFeatures, 11);
  const DataMatrix<double> out = predicted(network, x);
  for (Index i = 0; i < 5; ++i) {
    CHECK(relative_error(out.row(i).transpose(), network.naive(x.row(i).transpose())) <= 1e-13);
  }
}

TEST_CASE_TEMPLATE("a sample's prediction depends neither on its batch nor on threads", T, float,
                   double) {
  for_each_network([](const Network& network) {
    const Index n = 600;
    const auto x = random_data<T>(n, kFeatures, 12);
    const DataMatrix<double> all = predicted(network, x);
    CHECK(same_bits(all, predicted(network, x, 2)));
    CHECK(same_bits(all, predicted(network, x, 3)));
    for (const Index i : {0, 1, 255, 256, 599}) {
      CAPTURE(i);
      const DataMatrix<T> alone = x.row(i);
      CHECK(same_bits(all.row(i), predicted(network, alone)));
      const DataMatrix<T> tail = x.bottomRows(n - i);
      CHECK(same_bits(all.bottomRows(n - i), predicted(network, tail)));
    }
  });
}

TEST_CASE_TEMPLATE("predictions on sparse samples are those of the formula", T, float, double) {
  for_each_network([](const Network& network) {
    const Index n = 600;
    const auto x = random_sparse_data<T>(n, kFeatures, 13);
    const Compressed<T> rows(x);
    DataMatrix<double> out = DataMatrix<double>::Constant(n, kOutputs, 9.0);
    predict(network.view(), rows.view(), kThreads, out);
    for (Index i = 0; i < n; ++i) {
      const Vector row = x.row(i).transpose().template cast<double>();
      CHECK(relative_error(out.row(i).transpose(), network.naive(row)) <= 1e-12);
    }
    for (const Index i : {0, 255, 256, 599}) {
      CAPTURE(i);
      DataMatrix<double> tail = DataMatrix<double>::Constant(n - i, kOutputs, 9.0);
      predict(network.view(), middle_rows(rows.view(), i, n - i), 2, tail);
      CHECK(same_bits(out.bottomRows(n - i), tail));
    }
  });
}

}  // namespace
}  // namespace cvxnn
