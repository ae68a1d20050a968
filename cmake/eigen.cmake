# Eigen is header-only and comes, pinned, as the build requirement cmeel-eigen: an isolated build needs
# nothing from the system. Another copy: -DEigen3_DIR=<folder of Eigen3Config.cmake>.
set(_cvxnn_eigen_suffix cmeel.prefix/share/eigen3/cmake)
if(NOT Eigen3_DIR AND NOT SKBUILD) # plain cmake in a developer's environment
  find_package(Python QUIET COMPONENTS Interpreter)
  if(Python_FOUND)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('platlib'))"
      OUTPUT_VARIABLE _cvxnn_site
      OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    list(APPEND CMAKE_PREFIX_PATH "${_cvxnn_site}")
  endif()
endif()
find_package(Eigen3 3.4...<3.5 CONFIG REQUIRED PATH_SUFFIXES ${_cvxnn_eigen_suffix})
message(STATUS "cvxnn: Eigen ${Eigen3_VERSION} from ${Eigen3_DIR}")
