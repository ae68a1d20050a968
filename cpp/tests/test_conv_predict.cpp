#include "cvxnn/conv_predict.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

constexpr Index kSamples = 7, kChannels = 2, kHeight = 5, kWidth = 4, kFilters = 3, kOutputs = 2;

struct ConvNetwork {
  WindowsView windows;
  ConvActivation activation;
  bool max_pooling;
  DataMatrix<double> filters, gates, head;
  DataMatrix<Index> members;
  Vector biases, gate_biases, intercepts;

  ConvNetwork(const WindowsView& at, ConvActivation act, bool max)
      : windows(at), activation(act), max_pooling(max) {
    const Index n_inputs = kChannels * at.kernel_height * at.kernel_width;
    const bool gated = act == ConvActivation::kGated;
    filters = random_data<double>(n_inputs, kFilters, 1);
    gates = random_data<double>(n_inputs, gated ? kFilters : 0, 2);
    biases = random_matrix(kFilters, 1, 3);
    gate_biases = random_matrix(gated ? kFilters : 0, 1, 4);
    intercepts = random_matrix(kOutputs, 1, 5);
    members.resize(at.n_positions() / 2, 2);
    for (Index k = 0; k < members.size(); ++k) members.data()[k] = k;
    head = random_data<double>(members.rows() * kFilters, kOutputs, 6);
  }

  ConvNetworkView view() const {
    const auto vector = [](const Vector& v) {
      return Eigen::Map<const Vector>(v.data(), v.size());
    };
    return {windows,
            activation,
            max_pooling,
            map(filters),
            vector(biases),
            map(gates),
            vector(gate_biases),
            DataMap<Index>(members.data(), members.rows(), members.cols()),
            map(head),
            vector(intercepts)};
  }

  template <class T>
  double score(const T* image, const DataMatrix<double>& columns, const Vector& offsets, Index j,
               Index position) const {
    const Index top = position / windows.map_width * windows.stride_height - windows.padding_height;
    const Index left = position % windows.map_width * windows.stride_width - windows.padding_width;
    double sum = offsets[j];
    Index entry = 0;
    for (Index c = 0; c < kChannels; ++c) {
      for (Index y = top; y < top + windows.kernel_height; ++y) {
        for (Index x = left; x < left + windows.kernel_width; ++x, ++entry) {
          const bool outside = y < 0 || x < 0 || y >= kHeight || x >= kWidth;
          if (outside && !windows.circular) continue;
          const Index at = (c * kHeight + y % kHeight) * kWidth + x % kWidth;
          sum += columns(entry, j) * static_cast<double>(image[at]);
        }
      }
    }
    return sum;
  }

  template <class T>
  double pooled(const T* image, Index window, Index j) const {
    double sum = 0.0, best_score = 0.0, best = 0.0;
    for (Index k = 0; k < members.cols(); ++k) {
      const Index at = members(window, k);
      double value = score(image, filters, biases, j, at), opens = value;
      if (activation == ConvActivation::kGated) opens = score(image, gates, gate_biases, j, at);
      if (activation != ConvActivation::kLinear && !(opens > 0.0)) value = 0.0;
      sum += value;
      if (opens > best_score) best_score = opens, best = value;
    }
    return max_pooling ? best : sum / static_cast<double>(members.cols());
  }

  template <class T>
  Vector naive(const T* image) const {
    Vector f = intercepts;
    for (Index w = 0; w < members.rows(); ++w) {
      for (Index j = 0; j < kFilters; ++j) {
        f += pooled(image, w, j) * head.row(w * kFilters + j).transpose();
      }
    }
    return f;
  }
};

template <class T>
void check(const ConvNetwork& network) {
  const DataMatrix<T> x = random_data<T>(kSamples, kChannels * kHeight * kWidth, 7);
  const ImagesView<T> images{x.data(), kSamples, kChannels, kHeight, kWidth};
  DataMatrix<double> out = DataMatrix<double>::Constant(kSamples, kOutputs, 9.0), two = out;
  predict(network.view(), images, 1, out);
  predict(network.view(), images, 2, two);
  CHECK(out == two);
  for (Index i = 0; i < kSamples; ++i) {
    CHECK((out.row(i).transpose() - network.naive(x.row(i).data())).norm() < 1e-12);
    const ImagesView<T> alone{x.row(i).data(), 1, kChannels, kHeight, kWidth};
    DataMatrix<double> one(1, kOutputs);
    predict(network.view(), alone, 1, one);
    CHECK(one.row(0) == out.row(i));
  }
}

// Positions: 4 x 4 with padding and strides, 5 x 4 with a wrap.
const WindowsView kPadded{2, 3, 1, 1, 0, 1, 4, 4, false};
const WindowsView kStrided{3, 2, 2, 1, 1, 0, 3, 2, false};
const WindowsView kCircular{3, 2, 1, 1, 0, 0, 5, 4, true};

TEST_CASE("convolutional networks predict what loops over their filters say") {
  for (const WindowsView& windows : {kPadded, kStrided, kCircular}) {
    for (const auto act : {ConvActivation::kRelu, ConvActivation::kGated}) {
      for (const bool max_pooling : {false, true}) {
        check<double>(ConvNetwork(windows, act, max_pooling));
        check<float>(ConvNetwork(windows, act, max_pooling));
      }
    }
    check<double>(ConvNetwork(windows, ConvActivation::kLinear, false));
  }
}

}  // namespace
}  // namespace cvxnn
