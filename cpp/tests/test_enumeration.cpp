#include <set>

#include "cvxnn/enumeration.hpp"
#include "fixtures.hpp"

namespace cvxnn {
namespace {

using namespace testing;

TEST_CASE("a point in each cell of hyperplanes in general position, for any number of threads") {
  const DataMatrix<double> rows = distinct_hyperplanes(random_data<double>(12, 3, 1), 1e-10);
  Control control;
  const Matrix points = cell_points(rows, 1, control);
  CHECK(static_cast<double>(points.cols()) == cell_bound(12, 3));
  std::set<std::vector<bool>> cells;
  for (Index p = 0; p < points.cols(); ++p) {
    const Vector values = rows * points.col(p);
    CHECK(values.cwiseAbs().minCoeff() > 0.0);
    std::vector<bool> signs;
    for (const double value : values) signs.push_back(value > 0.0);
    cells.insert(signs);
  }
  CHECK(static_cast<Index>(cells.size()) == points.cols());
  for (const int n_threads : {2, 3}) {
    CHECK(same_bits(cell_points(rows, n_threads, control), points));
  }
}

}  // namespace
}  // namespace cvxnn
