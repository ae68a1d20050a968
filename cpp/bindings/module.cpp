#include "bindings.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/threads.hpp"

PYBIND11_MODULE(CVXNN_MODULE_NAME, m) {
  m.doc() = "The compiled core of cvxnn, for one CPU level.";
  py::register_local_exception<cvxnn::InvalidArgument>(m, "InvalidArgument", PyExc_ValueError);
  cvxnn::install_fork_guard();
  cvxnn::bindings::bind_threads(m);
  cvxnn::bindings::bind_patterns(m);
  cvxnn::bindings::bind_solver(m);
  cvxnn::bindings::bind_network(m);
}
