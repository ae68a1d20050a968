#include <array>
#include <string>

#include "bindings.hpp"
#include "cvxnn/conv_predict.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/predict.hpp"

namespace cvxnn::bindings {
namespace {

template <class Samples>
void bind_predict(py::module_& m) {
  m.def(
      "predict",
      [](const Samples& x, const CArray<double>& hidden, const CArray<double>& hidden_bias,
         const CArray<double>& output, const CArray<double>& output_bias,
         const CArray<double>& gates, const CArray<double>& gate_bias, const CArray<double>& skip,
         int n_threads) {
        const NetworkView network{
            data_map(hidden), vector_map(hidden_bias), data_map(output), vector_map(output_bias),
            data_map(gates),  vector_map(gate_bias),   data_map(skip)};
        const auto rows = samples(x);
        CArray<double> out({rows.rows(), Index{output.shape(1)}});
        Eigen::Map<DataMatrix<double>> fit(out.mutable_data(), out.shape(0), out.shape(1));
        py::gil_scoped_release release;
        for_strips(rows.rows(), n_threads, [&](Index first, Index count) {
          predict(network, middle_rows(rows, first, count), n_threads,
                  fit.middleRows(first, count));
        });
        return out;
      },
      py::arg("x").noconvert(), py::arg("hidden").noconvert(), py::arg("hidden_bias").noconvert(),
      py::arg("output").noconvert(), py::arg("output_bias").noconvert(),
      py::arg("gates").noconvert(), py::arg("gate_bias").noconvert(), py::arg("skip").noconvert(),
      py::kw_only(), py::arg("n_threads"));
}

using Pair = std::array<Index, 2>;  // height and width

ConvActivation conv_activation(const std::string& name) {
  if (name == "linear") return ConvActivation::kLinear;
  if (name == "relu") return ConvActivation::kRelu;
  if (name == "gated_relu") return ConvActivation::kGated;
  throw InvalidArgument("unknown activation " + name);
}

template <class T>
void bind_conv_predict(py::module_& m) {
  m.def(
      "conv_predict",
      [](const CArray<T>& x, const Pair& kernel, const Pair& stride, const Pair& padding,
         const Pair& map, bool circular, const std::string& activation, bool max_pooling,
         const CArray<double>& filters, const CArray<double>& biases, const CArray<double>& gates,
         const CArray<double>& gate_biases, const CArray<Index>& members,
         const CArray<double>& head, const CArray<double>& intercepts, int n_threads) {
        const WindowsView windows{kernel[0],  kernel[1], stride[0], stride[1], padding[0],
                                  padding[1], map[0],    map[1],    circular};
        const ConvNetworkView network{windows,
                                      conv_activation(activation),
                                      max_pooling,
                                      data_map(filters),
                                      vector_map(biases),
                                      data_map(gates),
                                      vector_map(gate_biases),
                                      data_map(members),
                                      data_map(head),
                                      vector_map(intercepts)};
        const Index n = x.shape(0), size = n > 0 ? x.size() / n : 0;
        CArray<double> out({n, Index{head.shape(1)}});
        Eigen::Map<DataMatrix<double>> fit(out.mutable_data(), out.shape(0), out.shape(1));
        const Index n_channels = x.shape(1), height = x.shape(2), width = x.shape(3);
        const T* data = x.data();
        py::gil_scoped_release release;
        for_strips(n, n_threads, [&](Index first, Index count) {
          const ImagesView<T> images{data + first * size, count, n_channels, height, width};
          predict(network, images, n_threads, fit.middleRows(first, count));
        });
        return out;
      },
      py::arg("x").noconvert(), py::kw_only(), py::arg("kernel"), py::arg("stride"),
      py::arg("padding"), py::arg("map"), py::arg("circular"), py::arg("activation"),
      py::arg("max_pooling"), py::arg("filters").noconvert(), py::arg("biases").noconvert(),
      py::arg("gates").noconvert(), py::arg("gate_biases").noconvert(),
      py::arg("members").noconvert(), py::arg("head").noconvert(),
      py::arg("intercepts").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_network(py::module_& m) {
  bind_conv_predict<float>(m);
  bind_conv_predict<double>(m);
  bind_predict<CArray<float>>(m);
  bind_predict<CArray<double>>(m);
  bind_predict<SparseArrays<float>>(m);
  bind_predict<SparseArrays<double>>(m);
}

}  // namespace cvxnn::bindings
