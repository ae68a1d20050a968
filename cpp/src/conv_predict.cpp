#include "cvxnn/conv_predict.hpp"

#include <algorithm>
#include <vector>

#include "cvxnn/threads.hpp"

namespace cvxnn {
namespace {

// Memory of one thread: patches, maps and pooled maps of a sample.
struct Workspace {
  DataMatrix<double> patches, maps, gates, pooled;

  explicit Workspace(const ConvNetworkView& network)
      : patches(network.windows.n_positions(), network.filters.rows()),
        maps(network.windows.n_positions(), network.filters.cols()),
        gates(network.windows.n_positions(), network.gates.cols()),
        pooled(network.members.rows(), network.filters.cols()) {}
};

// The row or column of the input at a position of a padded one, or -1 outside.
Index source(Index at, Index padding, Index size, bool circular) {
  if (circular) return at % size;
  const Index inside = at - padding;
  return inside < size ? std::max<Index>(inside, -1) : -1;
}

template <class T>
void fill_patches(const WindowsView& windows, const ImagesView<T>& x, const T* image,
                  DataMatrix<double>& patches) {
  for (Index row = 0; row < windows.map_height; ++row) {
    for (Index column = 0; column < windows.map_width; ++column) {
      double* entry = patches.row(row * windows.map_width + column).data();
      for (Index c = 0; c < x.n_channels; ++c) {
        for (Index i = 0; i < windows.kernel_height; ++i) {
          const Index y = source(row * windows.stride_height + i, windows.padding_height, x.height,
                                 windows.circular);
          const T* line = image + (c * x.height + std::max<Index>(y, 0)) * x.width;
          for (Index j = 0; j < windows.kernel_width; ++j) {
            const Index at = source(column * windows.stride_width + j, windows.padding_width,
                                    x.width, windows.circular);
            *entry++ = y < 0 || at < 0 ? 0.0 : static_cast<double>(line[at]);
          }
        }
      }
    }
  }
}

// A window's maximum is that of a ReLU map, or the value where the gate is highest.
void pool_max(const ConvNetworkView& network, Workspace& work) {
  const bool gated = network.activation == ConvActivation::kGated;
  const DataMatrix<double>& scores = gated ? work.gates : work.maps;
  for (Index w = 0; w < network.members.rows(); ++w) {
    for (Index j = 0; j < work.maps.cols(); ++j) {
      Index best = network.members(w, 0);
      for (Index k = 1; k < network.members.cols(); ++k) {
        const Index other = network.members(w, k);
        if (scores(other, j) > scores(best, j)) best = other;
      }
      work.pooled(w, j) = scores(best, j) > 0.0 ? work.maps(best, j) : 0.0;
    }
  }
}

void pool_mean(const ConvNetworkView& network, Workspace& work) {
  work.pooled.setZero();
  for (Index w = 0; w < network.members.rows(); ++w) {
    for (Index k = 0; k < network.members.cols(); ++k) {
      work.pooled.row(w) += work.maps.row(network.members(w, k));
    }
  }
  work.pooled /= static_cast<double>(network.members.cols());
}

template <class T>
void pooled_maps(const ConvNetworkView& network, const ImagesView<T>& x, Index sample,
                 Workspace& work) {
  const T* image = x.data + sample * x.n_channels * x.height * x.width;
  fill_patches(network.windows, x, image, work.patches);
  work.maps.noalias() = work.patches * network.filters;
  work.maps.rowwise() += network.biases.transpose();
  if (network.activation == ConvActivation::kGated) {
    work.gates.noalias() = work.patches * network.gates;
    work.gates.rowwise() += network.gate_biases.transpose();
  }
  if (network.max_pooling) return pool_max(network, work);
  if (network.activation == ConvActivation::kRelu) work.maps = work.maps.cwiseMax(0.0);
  if (network.activation == ConvActivation::kGated) {
    work.maps = (work.gates.array() > 0.0).select(work.maps, 0.0);
  }
  pool_mean(network, work);
}

}  // namespace

template <class T>
void predict(const ConvNetworkView& network, const ImagesView<T>& x, int n_threads,
             Eigen::Ref<DataMatrix<double>> out) {
  const double operations = static_cast<double>(x.n_samples) *
                            static_cast<double>(network.windows.n_positions()) *
                            static_cast<double>(network.filters.size());
  const int team = team_size(x.n_samples, worthwhile_threads(operations, n_threads));
  std::vector<Workspace> work(static_cast<std::size_t>(team), Workspace(network));
  parallel_for(x.n_samples, team, [&](Index sample, int thread) {
    Workspace& mine = work[static_cast<std::size_t>(thread)];
    pooled_maps(network, x, sample, mine);
    const Eigen::Map<const Vector> pooled(mine.pooled.data(), mine.pooled.size());
    out.row(sample).noalias() = pooled.transpose() * network.head;
    out.row(sample) += network.intercepts.transpose();
  });
}

template void predict(const ConvNetworkView&, const ImagesView<float>&, int,
                      Eigen::Ref<DataMatrix<double>>);
template void predict(const ConvNetworkView&, const ImagesView<double>&, int,
                      Eigen::Ref<DataMatrix<double>>);

}  // namespace cvxnn
