#include <numeric>

#include "bindings.hpp"
#include "cvxnn/cell_walk.hpp"
#include "cvxnn/enumeration.hpp"
#include "cvxnn/operators/masked.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/threads.hpp"

namespace cvxnn::bindings {
namespace {

// fn(walk, j) for each start j, without the GIL.
template <class Fn>
void for_walks(const CArray<double>& x, Index n_starts, int n_threads, Fn&& fn) {
  const DataMatrix<double> data = data_map(x);
  py::gil_scoped_release release;
  const Index n_tasks = std::min<Index>(n_starts, 4 * n_threads);
  parallel_for(n_tasks, n_threads, [&](Index task, int) {
    CellWalk walk(data);
    for (Index j = task; j < n_starts; j += n_tasks) fn(walk, j);
  });
}

template <class Samples>
void bind_packing(py::module_& m) {
  m.def(
      "pack_patterns",
      [](const Samples& x, const CArray<double>& gates, CArray<Word>& words, int n_threads) {
        const auto rows = samples(x);
        const DataMap<double> columns = data_map(gates);
        Word* out = words.mutable_data();
        py::gil_scoped_release release;
        for_strips(rows.rows(), n_threads, [&](Index first, Index count) {
          Word* const words_of_strip = out + first / kWordBits * columns.cols();
          pack_patterns(middle_rows(rows, first, count), columns, Vector(), n_threads,
                        words_of_strip);
        });
      },
      py::arg("x").noconvert(), py::arg("gates").noconvert(), py::arg("words").noconvert(),
      py::kw_only(), py::arg("n_threads"), "Writes the packed patterns of all gates into words.");
}

template <class T>
void bind_dtype(py::module_& m) {
  bind_packing<CArray<T>>(m);
  bind_packing<SparseArrays<T>>(m);
  m.def(
      "masked_gradients",
      [](const CArray<T>& x, const CArray<Word>& words, const Eigen::Ref<const Matrix>& residual,
         int n_threads, bool accurate) {
        const MaskedDesign<T> design(data_map(x), pattern_view(words, x.shape(0)), n_threads);
        CArray<double> out({design.n_blocks(), Index{residual.cols()}, Index{x.shape(1)}});
        double* data = out.mutable_data();
        py::gil_scoped_release release;
        std::vector<Index> all(design.n_blocks());
        std::iota(all.begin(), all.end(), Index{0});
        Control control;
        design.gradients(all, residual, accurate ? Precision::accurate : Precision::standard,
                         control, data);
        return out;
      },
      py::arg("x").noconvert(), py::arg("words").noconvert(), py::arg("residual").noconvert(),
      py::kw_only(), py::arg("n_threads"), py::arg("accurate") = false,
      "X^T D_p R for every pattern: (n_patterns, n_outputs, n_features).");

  m.def(
      "masked_forward",
      [](const CArray<T>& x, const CArray<Word>& words, const std::vector<Index>& blocks,
         const CArray<double>& coefs, int n_threads, bool accurate) {
        const MaskedDesign<T> design(data_map(x), pattern_view(words, x.shape(0)), n_threads);
        Matrix fit(x.shape(0), coefs.shape(1));
        py::gil_scoped_release release;
        design.forward(blocks, coefs.data(), accurate ? Precision::accurate : Precision::standard,
                       fit);
        return fit;
      },
      py::arg("x").noconvert(), py::arg("words").noconvert(), py::arg("blocks"),
      py::arg("coefs").noconvert(), py::kw_only(), py::arg("n_threads"),
      py::arg("accurate") = false,
      "sum_j D_{blocks[j]} X coefs[j].T for coefs (n_blocks, n_outputs, n_features).");
}

}  // namespace

void bind_patterns(py::module_& m) {
  bind_dtype<float>(m);
  bind_dtype<double>(m);
  m.def(
      "distinct_hyperplanes",
      [](const CArray<double>& rows, double tolerance) {
        const DataMatrix<double> kept = distinct_hyperplanes(data_map(rows), tolerance);
        return py::make_tuple(kept, cell_bound(kept.rows(), kept.cols()));
      },
      py::arg("rows").noconvert(), py::arg("tolerance"),
      "The rows, normalised, that are not zero or, to the tolerance, parallel to an earlier one, "
      "and "
      "a bound of the number of cells that the hyperplanes orthogonal to them cut out.");
  m.def(
      "cell_points",
      [](const CArray<double>& rows, int n_threads) {
        const DataMap<double> hyperplanes = data_map(rows);
        Control control;
        control.check_signals = check_signals;
        py::gil_scoped_release release;
        return cell_points(hyperplanes, n_threads, control);
      },
      py::arg("rows").noconvert(), py::kw_only(), py::arg("n_threads"),
      "A point in each cell of what distinct_hyperplanes returned, one a column.");
  m.def(
      "cell_walks",
      [](const CArray<double>& x, const Matrix& theta, Matrix starts, int n_threads) {
        Vector values(starts.cols());
        Matrix best(starts.rows(), starts.cols());
        const Vector v = theta.col(0);
        for_walks(x, starts.cols(), n_threads, [&](CellWalk& walk, Index j) {
          values[j] = theta.cols() == 1 ? walk.ascend(v, starts.col(j), best.col(j))
                                        : walk.ascend_outputs(theta, starts.col(j), best.col(j));
        });
        return py::make_tuple(values, best, starts);
      },
      py::arg("x").noconvert(), py::arg("theta"), py::arg("starts"), py::kw_only(),
      py::arg("n_threads"),
      "Maxima of theta^T (X u)_+ over the unit ball, or of its norm for several outputs, from each "
      "start, a column: values, maximisers, and points inside their cells.");
  m.def(
      "climbs",
      [](const CArray<double>& x, const Matrix& theta, Matrix starts, int n_threads) {
        Vector values(starts.cols());
        const Vector v = theta.col(0);
        for_walks(x, starts.cols(), n_threads, [&](CellWalk& walk, Index j) {
          values[j] = theta.cols() == 1 ? walk.climb(v, starts.col(j))
                                        : walk.climb_outputs(theta, starts.col(j));
        });
        return py::make_tuple(values, starts);
      },
      py::arg("x").noconvert(), py::arg("theta"), py::arg("starts"), py::kw_only(),
      py::arg("n_threads"),
      "Values of the same that gradients reach from each start, a column, and where.");
  m.def(
      "unique_patterns",
      [](CArray<Word>& words, Index n_samples) {
        Word* data = words.mutable_data();
        const Index n_patterns = words.shape(1);
        std::vector<Index> kept;
        {
          py::gil_scoped_release release;
          kept = unique_patterns(data, n_samples, n_patterns);
        }
        return CArray<Index>(static_cast<py::ssize_t>(kept.size()), kept.data());
      },
      py::arg("words").noconvert(), py::arg("n_samples"),
      "Indices of the distinct non-empty patterns, whose words move to the front of the buffer.");
}

}  // namespace cvxnn::bindings
