#include "bindings.hpp"
#include "cvxnn/predict.hpp"

namespace cvxnn::bindings {
namespace {

template <class T>
void bind_dtype(py::module_& m) {
  m.def(
      "predict",
      [](const CArray<T>& x, const CArray<double>& hidden, const CArray<double>& hidden_bias,
         const CArray<double>& output, const CArray<double>& output_bias,
         const CArray<double>& gates, const CArray<double>& gate_bias, const CArray<double>& skip,
         int n_threads) {
        const NetworkView network{
            data_map(hidden), vector_map(hidden_bias), data_map(output), vector_map(output_bias),
            data_map(gates),  vector_map(gate_bias),   data_map(skip)};
        const DataMap<T> samples = data_map(x);
        CArray<double> out({x.shape(0), output.shape(1)});
        Eigen::Map<DataMatrix<double>> fit(out.mutable_data(), out.shape(0), out.shape(1));
        py::gil_scoped_release release;
        for_strips(samples.rows(), n_threads, [&](Index first, Index count) {
          const DataMap<T> strip(samples.data() + first * samples.cols(), count, samples.cols());
          predict<T>(network, strip, n_threads, fit.middleRows(first, count));
        });
        return out;
      },
      py::arg("x").noconvert(), py::arg("hidden").noconvert(), py::arg("hidden_bias").noconvert(),
      py::arg("output").noconvert(), py::arg("output_bias").noconvert(),
      py::arg("gates").noconvert(), py::arg("gate_bias").noconvert(), py::arg("skip").noconvert(),
      py::kw_only(), py::arg("n_threads"));
}

}  // namespace

void bind_network(py::module_& m) {
  bind_dtype<float>(m);
  bind_dtype<double>(m);
}

}  // namespace cvxnn::bindings
