#include <Eigen/Core>

#include "bindings.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn::bindings {

void bind_threads(py::module_& m) {
  m.def("max_threads", &max_threads, "OpenMP's current number of threads.");
  m.def("in_forked_child", &in_forked_child,
        "True in a child forked after its parent used threads: it runs serially.");
  m.def("simd_instruction_sets", [] { return std::string(Eigen::SimdInstructionSetsInUse()); });
  m.def("eigen_version", [] {
    return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION);
  });
  m.def("openmp_version", [] { return _OPENMP; });
}

}  // namespace cvxnn::bindings
