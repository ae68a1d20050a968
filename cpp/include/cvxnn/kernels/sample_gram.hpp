// The Gram matrix of samples over masked blocks, formed from the packed patterns.
#pragma once

#include <functional>
#include <vector>

#include "cvxnn/control.hpp"
#include "cvxnn/patterns.hpp"
#include "cvxnn/types.hpp"

namespace cvxnn::kernels {

// products(first, out): out = the samples from `first` on times the transpose of the first
// out.cols() of these. May run concurrently.
using PanelProducts = std::function<void(Index first, MatrixRef out)>;

// Lower triangle of S = sum_j scales_j D_j X X^T D_j = (X X^T) o (M diag(scales) M^T), M the
// patterns of the list as columns: n^2 / 2 table sums over patterns instead of n^2 d products.
void masked_sample_gram(const PanelProducts& products, const PatternView& patterns,
                        const std::vector<Index>& list, ConstVectorRef scales, int n_threads,
                        Control& control, MatrixRef S);

}  // namespace cvxnn::kernels
