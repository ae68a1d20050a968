// The forward pass of a recovered convolutional network.
#pragma once

#include "cvxnn/types.hpp"

namespace cvxnn {

// Inputs (n_samples, n_channels, height, width), row-major; a signal has height 1.
template <class T>
struct ImagesView {
  const T* data;
  Index n_samples, n_channels, height, width;
};

// Where filters stand. Circular ones wrap around, others meet zeros beyond the borders.
struct WindowsView {
  Index kernel_height, kernel_width;
  Index stride_height, stride_width;
  Index padding_height, padding_width;
  Index map_height, map_width;  // positions of the filters
  bool circular;

  Index n_positions() const { return map_height * map_width; }
};

enum class ConvActivation { kLinear, kRelu, kGated };

// Filters of m columns on patches (channel, offsets); maps pooled over windows of members, their
// maximum or mean; and a head on the pooled maps, (window, filter). With gates, a filter is open
// where its gate is positive, and with max pooling the patch that the gate scores highest stands
// for a window, none where that is not positive. All views of memory that the caller keeps alive.
struct ConvNetworkView {
  WindowsView windows;
  ConvActivation activation;
  bool max_pooling;
  DataMap<double> filters;               // n_inputs x m
  Eigen::Map<const Vector> biases;       // m
  DataMap<double> gates;                 // n_inputs x m, or n_inputs x 0
  Eigen::Map<const Vector> gate_biases;  // m, or empty
  DataMap<Index> members;                // n_windows x n_members, of positions
  DataMap<double> head;                  // (n_windows * m) x n_outputs
  Eigen::Map<const Vector> intercepts;   // n_outputs
};

// out: n_samples x n_outputs. A sample's result does not depend on its batch or on n_threads.
template <class T>
void predict(const ConvNetworkView& network, const ImagesView<T>& x, int n_threads,
             Eigen::Ref<DataMatrix<double>> out);

}  // namespace cvxnn
