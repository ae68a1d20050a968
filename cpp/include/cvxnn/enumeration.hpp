// All cells of a central hyperplane arrangement, {u : h_k^T u != 0 for all k}: one point in each.
#pragma once

#include "cvxnn/control.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn {

// 2 sum_{k < rank} C(n_rows - 1, k), the number of cells in general position and a bound otherwise
// (Cover 1965); infinite where it overflows.
double cell_bound(Index n_rows, Index rank);

// Rows without those that are zero or parallel to an earlier one, of norm one: no further from it,
// or from its opposite, than the tolerance.
DataMatrix<double> distinct_hyperplanes(const DataMatrix<double>& rows, double tolerance);

// A point strictly inside each cell, one a column, in an order that depends on the rows alone.
// Deletion and restriction (Zaslavsky 1975): the cells that hyperplane k cuts in two, among those
// of the hyperplanes before it, are the cells of their traces on it. rows: distinct, of norm one.
Matrix cell_points(const DataMatrix<double>& rows, int n_threads, Control& control);

}  // namespace cvxnn
