// What the binding files share. Bindings convert, release the GIL and map errors; no arithmetic.
#pragma once

#include <pybind11/eigen.h>
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>

#include "cvxnn/control.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/sparse_rows.hpp"
#include "cvxnn/types.hpp"

namespace py = pybind11;

namespace cvxnn::bindings {

template <class T>
using CArray = py::array_t<T, py::array::c_style>;

template <class T>
DataMap<T> data_map(const CArray<T>& array) {
  return DataMap<T>(array.data(), array.shape(0), array.shape(1));
}

// Values, columns and starts of compressed rows, and the number of columns.
template <class T>
using SparseArrays = std::tuple<CArray<T>, CArray<std::int32_t>, CArray<Index>, Index>;

// Samples of either form, as the library takes them.
template <class T>
DataMap<T> samples(const CArray<T>& x) {
  return data_map(x);
}
template <class T>
SparseRows<T> samples(const SparseArrays<T>& x) {
  const auto& [values, columns, starts, n_features] = x;
  return {values.data(), columns.data(), starts.data(), Index{starts.size()} - 1, n_features};
}

template <class T>
Eigen::Map<const Vector> vector_map(const CArray<T>& array) {
  return Eigen::Map<const Vector>(array.data(), array.size());
}

inline PatternView pattern_view(const CArray<Word>& words, Index n_samples) {
  return PatternView{words.data(), n_samples, words.shape(1)};
}

// Asks Python for pending signals; Ctrl-C leaves as KeyboardInterrupt.
inline void check_signals() {
  py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// fn(first, count) for strips of rows, with an eye on signals between them. Strips keep every
// thread busy and are whole words of pattern bits; what is computed of a row must not depend on its
// strip.
template <class Fn>
void for_strips(Index n_rows, int n_threads, Fn&& fn) {
  const Index strip = 1024 * std::max(4, n_threads);
  for (Index first = 0; first < n_rows; first += strip) {
    fn(first, std::min(strip, n_rows - first));
    check_signals();
  }
}

void bind_threads(py::module_& m);
void bind_patterns(py::module_& m);
void bind_solver(py::module_& m);
void bind_network(py::module_& m);

}  // namespace cvxnn::bindings
