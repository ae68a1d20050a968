#include "bindings.hpp"
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

}  // namespace

void bind_network(py::module_& m) {
  bind_predict<CArray<float>>(m);
  bind_predict<CArray<double>>(m);
  bind_predict<SparseArrays<float>>(m);
  bind_predict<SparseArrays<double>>(m);
}

}  // namespace cvxnn::bindings
