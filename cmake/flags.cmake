# What every target of the core is compiled with.
set(CVXNN_SANITIZE "" CACHE STRING "Sanitizers, as a list: address;undefined, or thread")
option(CVXNN_WERROR "Treat warnings as errors (for developers and CI)" OFF)

add_library(cvxnn_flags INTERFACE)
target_include_directories(cvxnn_flags INTERFACE "${PROJECT_SOURCE_DIR}/cpp/include")
target_link_libraries(cvxnn_flags INTERFACE Eigen3::Eigen OpenMP::OpenMP_CXX)
target_compile_definitions(cvxnn_flags INTERFACE EIGEN_DONT_PARALLELIZE EIGEN_MPL2_ONLY)
# No contraction: activation patterns must come out the same at every CPU level. Eigen's own products
# use fused operations explicitly and keep their speed.
target_compile_options(
  cvxnn_flags INTERFACE -ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra -Wshadow)
if(CVXNN_WERROR)
  target_compile_options(cvxnn_flags INTERFACE -Werror)
endif()
if(CVXNN_SANITIZE)
  list(JOIN CVXNN_SANITIZE "," _cvxnn_sanitizers)
  # Null and misaligned vector accesses fault by themselves, what lies outside of an object is seen on
  # access, and looking for these slows builds.
  target_compile_options(
    cvxnn_flags INTERFACE -fsanitize=${_cvxnn_sanitizers} -fno-sanitize=null,alignment,object-size,pointer-overflow
                          -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(cvxnn_flags INTERFACE -fsanitize=${_cvxnn_sanitizers})
endif()
if("thread" IN_LIST CVXNN_SANITIZE)
  # Races are in what is shared out: in small problems too, for large ones take too long here.
  target_compile_definitions(cvxnn_flags INTERFACE CVXNN_SHARE_ALL_WORK)
endif()
# Reading these takes a good part of the time of a build.
target_precompile_headers(cvxnn_flags INTERFACE <Eigen/Core> <algorithm> <functional> <vector>)
