// out = A^T B by Eigen's GEMM on one thread, for the kernel benchmark.
#include <pybind11/eigen.h>
#include <pybind11/pybind11.h>

#include <Eigen/Core>

namespace py = pybind11;

template <class T>
void bind(py::module_& m) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  m.def(
      "gemm_tn",
      [](const Eigen::Ref<const Matrix>& a, const Eigen::Ref<const Matrix>& b,
         Eigen::Ref<Matrix> out) { out.noalias() = a.transpose() * b; },
      py::arg("a").noconvert(), py::arg("b").noconvert(), py::arg("out").noconvert());
}

PYBIND11_MODULE(eigen_gemm, m) {
  bind<float>(m);
  bind<double>(m);
}
