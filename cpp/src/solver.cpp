#include "cvxnn/solver.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "cvxnn/cost_model.hpp"
#include "cvxnn/errors.hpp"

namespace cvxnn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Index kMinGrowth = 10;          // violators added to the working set at once
constexpr Index kMinConeGrowth = 40;      // where systems grow with the non-zero blocks alone
constexpr Index kPatience = 8;            // iterations without progress before a solve has stalled
constexpr Index kFloatPatience = 1;       // and before float products are blamed
constexpr double kRestrictedShare = 0.3;  // of the gap: what a restricted problem is solved to
constexpr double kUncorrected = 1e3;      // times tol: what the gap without corrections may be

// `free` and the blocks of weight zero, side by side.
Matrix unpenalised_columns(const Operator& op, ConstVectorRef weights, const Matrix& free) {
  Index size = free.cols();
  for (Index b = 0; b < weights.size(); ++b) {
    if (weights[b] == 0.0) size += op.block_size(b);
  }
  Matrix columns(op.n_samples(), size);
  columns.leftCols(free.cols()) = free;
  Index start = free.cols();
  for (Index b = 0; b < weights.size(); ++b) {
    if (weights[b] != 0.0) continue;
    op.dense_block(b, columns.middleCols(start, op.block_size(b)));
    start += op.block_size(b);
  }
  return columns;
}

}  // namespace

void Settings::verify() const {
  require(tol > 0.0, "tol must be positive, got " + std::to_string(tol));
  require(max_iter >= 1, "max_iter must be >= 1, got " + std::to_string(max_iter));
}

struct Solver::Run {
  Solution solution;
  Matrix theta;                // at the current fit
  Matrix best_theta;           // of the highest lower bound so far
  double best_dual = 0.0;      // every loss is non-negative
  double uncorrected = 0.0;    // the bound that steps have reached: how far to take them
  std::vector<Index> next;     // the working set, by the scores at that bound
  double tol = 0.0;            // of the loop; tightened where the certificate disagrees
  Matrix interior_theta;       // of the interior-point method, to be priced next
  bool interior_done = false;  // it runs once a solve
  double effort = 0.0;         // of the restricted problem before this solve
  double lowest_primal = kInfinity, lowest_gap = kInfinity;
  Index idle = 0;  // iterations since either fell
};

Solver::Solver(const Operator& op, const Loss& loss, Vector weights, Matrix free, Settings settings)
    : op_(op),
      loss_(loss),
      weights_(std::move(weights)),
      settings_(settings),
      restricted_(op, loss, unpenalised_columns(op, weights_, free), settings.method,
                  settings.n_threads),
      pricing_(op, weights_, loss.omega(), loss.n_outputs(), settings.n_threads) {
  settings_.verify();
  require(op.cones() == nullptr || (weights_.array() > 0.0).all(),
          "weights must be positive where blocks are in cones");
  require(op.cones() == nullptr || settings_.method == Method::automatic ||
              settings_.method == Method::fista,
          "solver must be 'auto' or 'fista' where blocks are in cones");
  require(op.norm().frobenius() || settings_.method == Method::automatic ||
              settings_.method == Method::fista,
          "solver must be 'auto' or 'fista' for norms of blocks other than Frobenius'");
  require(settings_.method != Method::interior_point || !op.has_ridge(),
          "solver 'interior_point' is not for the penalty 'elastic'");
  require(
      settings_.method != Method::interior_point || interior_point_applies(),
      "solver 'interior_point' needs the squared loss, one output and at most 8192 samples, got " +
          std::to_string(op.n_samples()) + " samples");
}

double Solver::alpha_max(Control& control) {
  restricted_.working.reset(op_, {}, weights_, 1.0);
  restricted_.refresh_fit();
  for (double before = kInfinity; restricted_.primal() < before;) {
    before = restricted_.primal();
    restricted_.minimise(1e-15 * before, control);
  }
  Matrix theta;
  restricted_.dual_point(theta);
  return reference_dual_norm(op_, weights_, theta, settings_.n_threads, control).value /
         op_.penalty(1.0).level;
}

void Solver::warm_start(const std::vector<Index>& blocks, const Vector& coefs,
                        const Matrix& free_coefs) {
  WorkingSet& working = restricted_.working;
  working.reset(op_, blocks, weights_, 1.0);
  require(coefs.size() == working.coefs.size() && free_coefs.rows() == restricted_.free.size() &&
              free_coefs.cols() == loss_.n_outputs(),
          "init does not fit this problem");
  working.coefs = coefs;
  restricted_.free.coefs() = free_coefs;
}

// The non-zero blocks that are still candidates, and at most as many of the worst violators.
std::vector<Index> Solver::next_working_set(double alpha) const {
  const WorkingSet& working = restricted_.working;
  std::vector<Index> next;
  for (Index j = 0; j < working.size(); ++j) {
    if (working.active(j) && pricing_.candidate(working.blocks[j])) {
      next.push_back(working.blocks[j]);
    }
  }
  const Index growth = std::max(op_.cones() != nullptr ? kMinConeGrowth : kMinGrowth,
                                static_cast<Index>(next.size()));
  const std::vector<Index> violators = pricing_.violators(op_.penalty(alpha).level, next, growth);
  next.insert(next.end(), violators.begin(), violators.end());
  return next;
}

// Where few blocks beside the non-zero ones violate, and so a correction of all of these can help.
// A solution is not called zero by it.
bool Solver::correct_dual_point(Run& run, Control& control) {
  const WorkingSet& working = restricted_.working;
  const double alpha = run.solution.alpha;
  if (op_.has_ridge()) return false;  // whose bounds are of second order as they are
  std::vector<Index> blocks;
  for (Index j = 0; j < working.size(); ++j) {
    if (working.active(j)) blocks.push_back(working.blocks[j]);
  }
  if (blocks.empty()) return false;
  const Index few = std::max(kMinGrowth, static_cast<Index>(blocks.size()) / 4);
  const std::vector<Index> violators = pricing_.violators(alpha, blocks, few + 1);
  if (static_cast<Index>(violators.size()) > few) return false;
  blocks.insert(blocks.end(), violators.begin(), violators.end());
  Vector limits(static_cast<Index>(blocks.size()));
  for (std::size_t j = 0; j < blocks.size(); ++j) limits[j] = alpha * weights_[blocks[j]];
  return restricted_.correct_dual_point(blocks, limits, control, run.theta);
}

bool Solver::interior_point_applies() const {
  return op_.cones() == nullptr && op_.norm().frobenius() && !op_.has_ridge() &&
         loss_.n_outputs() == 1 && loss_.quadratic() && op_.n_samples() <= kMaxSystemSamples;
}

// The interior-point method costs about the same whatever alpha and the conditioning, Newton steps
// far less or far more. So it takes over once they have cost a share of its price: at worst little
// more than the better of the two.
bool Solver::interior_point_pays(const Run& run, const Progress& progress) const {
  if (run.interior_done || pricing_.candidates().empty()) return false;
  if (settings_.method == Method::interior_point) return true;
  if (settings_.method != Method::automatic || !interior_point_applies()) return false;
  // While the gap is large nobody knows how many steps are still to come, the more the larger.
  constexpr double kFar = 0.2, kFarShare = 0.12, kNearShare = 1.5;
  const std::vector<Index>& blocks = pricing_.candidates();
  Index largest = 0;
  for (const Index b : blocks) largest = std::max(largest, op_.block_size(b));
  const double iterations = 3.0 - std::log10(std::min(settings_.tol, 0.1));
  const double price =
      iterations *
      cost::interior_iteration(op_.n_samples(), static_cast<Index>(blocks.size()), largest);
  const double gap = progress.gap / progress.primal;
  const double share = gap > kFar ? kFarShare * (1.0 - gap) : kNearShare;
  return restricted_.effort() - run.effort > share * price;
}

// Over all candidates: no working set.
void Solver::solve_interior(Run& run, Control& control) {
  run.interior_done = true;
  use_accurate_products(run);
  restricted_.working.reset(op_, pricing_.candidates(), weights_, run.solution.alpha);
  restricted_.minimise_interior(0.5 * run.tol, control, run.interior_theta);
}

void Solver::certify_now(Run& run, Control& control) {
  const WorkingSet& working = restricted_.working;
  const Matrix& theta = run.best_theta.size() > 0 ? run.best_theta : run.theta;
  run.solution.certificate =
      certify(op_, loss_, weights_, run.solution.alpha, working.blocks, working.coefs,
              restricted_.free, theta, settings_.n_threads, control, pricing_.projections());
}

// Bounds from float products are void where those are not enough.
void Solver::use_accurate_products(Run& run) {
  if (restricted_.precision == Precision::accurate) return;
  restricted_.precision = Precision::accurate;
  run.best_dual = 0.0;
  run.lowest_gap = kInfinity;
  run.idle = 0;
}

// Decides whether to stop, on the certificate alone.
bool Solver::converged(Run& run, const Progress& progress, Control& control) {
  const bool progressed =
      progress.primal < run.lowest_primal * (1.0 - 1e-14) || progress.gap < 0.9 * run.lowest_gap;
  run.idle = progressed ? 0 : run.idle + 1;
  run.lowest_primal = std::min(run.lowest_primal, progress.primal);
  run.lowest_gap = std::min(run.lowest_gap, progress.gap);
  const bool idle = run.idle >= kPatience;
  const double own_gap = (progress.primal - run.uncorrected) / kUncorrected;
  if (!(std::max(progress.gap, own_gap) <= run.tol * progress.primal) && !idle) {
    if (run.idle >= kFloatPatience) use_accurate_products(run);
    return false;
  }

  certify_now(run, control);
  const Certificate& certificate = run.solution.certificate;
  if (certificate.gap <= settings_.tol * certificate.primal) {
    run.solution.status = Status::optimal;
    return true;
  }
  // The arithmetic of the loop was not enough. Float tables give way to double ones; then the loop
  // aims lower than it was asked to.
  if (restricted_.precision == Precision::standard) {
    use_accurate_products(run);
  } else if (idle) {
    run.solution.status = Status::stalled;
    return true;
  }
  run.tol *= 0.5;
  return false;
}

// Prices run.theta, which may raise the lower bound.
Solver::Priced Solver::price(Run& run, double primal, Precision precision, Control& control) {
  const double alpha = run.solution.alpha;
  const double level = op_.penalty(alpha).level;
  const double norm = pricing_.price(run.theta, level, precision, control);
  Priced priced;
  priced.scale = loss_.best_scale(run.theta, norm > 0.0 ? level / norm : kInfinity);
  double gap = restricted_.gap(run.theta, priced.scale);
  if (op_.has_ridge()) {
    const double unscaled = restricted_.gap(run.theta, 1.0, pricing_.conjugates(alpha));
    if (unscaled < gap) {
      gap = unscaled;
      priced.scale = 1.0;
    }
  }
  priced.dual = primal - gap;
  priced.best = priced.dual >= run.best_dual;
  if (priced.best) {
    run.best_dual = priced.dual;
    run.best_theta = run.theta;
  }
  return priced;
}

// Prices the dual points at hand, the last of them the best hope.
Solver::Priced Solver::price_all(Run& run, double primal, Control& control) {
  if (run.interior_theta.size() > 0) {
    run.theta.swap(run.interior_theta);
    run.interior_theta.resize(0, 0);
  } else {
    restricted_.dual_point(run.theta);
  }
  Priced priced = price(run, primal, restricted_.precision, control);
  run.uncorrected = priced.dual;
  if (op_.cones() != nullptr && restricted_.cone_dual_point().size() > 0) {
    run.theta = restricted_.cone_dual_point();
    priced = price(run, primal, restricted_.precision, control);
    run.uncorrected = std::max(run.uncorrected, priced.dual);
  }
  run.next = next_working_set(run.solution.alpha);
  if (primal - run.best_dual > run.tol * primal && correct_dual_point(run, control)) {
    priced = price(run, primal, Precision::accurate, control);
  }
  return priced;
}

void Solver::iterate(Run& run, Control& control) {
  Solution& solution = run.solution;
  const double alpha = solution.alpha;
  while (solution.n_iter < settings_.max_iter) {
    ++solution.n_iter;
    restricted_.refresh_fit();
    const double primal = restricted_.primal();
    if (!std::isfinite(primal)) throw StopRequest{Status::numerical_error};
    const Priced priced = price_all(run, primal, control);
    const Progress progress{solution.n_iter,
                            primal,
                            run.best_dual,
                            std::max(0.0, primal - run.best_dual),
                            restricted_.working.n_active(),
                            restricted_.working.size(),
                            alpha,
                            control.elapsed()};
    solution.trace.push_back(progress);
    control.report(progress);
    control.poll();
    if (converged(run, progress, control)) return;

    if (settings_.screening && priced.best) {
      const double radius = std::sqrt(2.0 * loss_.smoothness() * progress.gap);
      pricing_.screen(priced.scale, radius, op_.penalty(alpha).level);
    }
    if (interior_point_pays(run, progress)) {
      solve_interior(run, control);
      continue;
    }
    const auto screened = [&](Index b) { return !pricing_.candidate(b); };
    run.next.erase(std::remove_if(run.next.begin(), run.next.end(), screened), run.next.end());
    restricted_.working.reset(op_, run.next, weights_, alpha);
    restricted_.refresh_fit();
    // A restricted problem that meets its target without bringing the gap down was asked too
    // little.
    const double target = std::max(0.5 * run.tol * primal,
                                   kRestrictedShare * std::min(primal, primal - run.uncorrected));
    restricted_.minimise(std::pow(0.1, run.idle) * target, control);
  }
  solution.status = Status::max_iter;
}

void Solver::collect(Solution& solution) const {
  const WorkingSet& working = restricted_.working;
  std::vector<Index> order;
  for (Index j = 0; j < working.size(); ++j) {
    if (working.active(j)) order.push_back(j);
  }
  std::sort(order.begin(), order.end(),
            [&](Index a, Index b) { return working.blocks[a] < working.blocks[b]; });
  std::vector<double> coefs;
  for (const Index j : order) {
    solution.blocks.push_back(working.blocks[j]);
    const auto block = working.block(working.coefs, j);
    coefs.insert(coefs.end(), block.data(), block.data() + block.size());
  }
  solution.coefs = Eigen::Map<const Vector>(coefs.data(), static_cast<Index>(coefs.size()));
  solution.free_coefs = restricted_.free.coefs();
}

// Along a path solutions are nearly linear in alpha while no block changes its status: the line
// through the last two is the better start where its objective is lower. The working set is that of
// the last one.
void Solver::extrapolate(double alpha) {
  WorkingSet& working = restricted_.working;
  Point last{last_alpha_, working.blocks, working.coefs, restricted_.free.coefs()};
  if (previous_.alpha > last.alpha && last.alpha > alpha) {
    const double t = (last.alpha - alpha) / (previous_.alpha - last.alpha);
    Vector coefs = last.coefs;
    std::unordered_map<Index, Index> starts;  // in the coefficients before
    Index start = 0;
    for (const Index b : previous_.blocks) {
      starts.emplace(b, start);
      start += op_.block_size(b) * loss_.n_outputs();
    }
    for (Index j = 0; j < working.size(); ++j) {
      const auto before = starts.find(working.blocks[j]);
      if (before == starts.end()) continue;
      const Index length = working.starts[j + 1] - working.starts[j];
      auto W = coefs.segment(working.starts[j], length);
      W += t * (W - previous_.coefs.segment(before->second, length)).eval();
      if (W.dot(last.coefs.segment(working.starts[j], length)) < 0.0) W.setZero();
      if (op_.cones() != nullptr) op_.restrict(working.blocks[j], W);
    }
    const Matrix free_coefs = last.free_coefs + t * (last.free_coefs - previous_.free_coefs);
    restricted_.try_coefs(coefs, free_coefs);
  }
  previous_ = std::move(last);
}

Solution Solver::solve(double alpha, Control& control) {
  require(alpha > 0.0 && std::isfinite(alpha),
          "alpha must be positive and finite, got " + std::to_string(alpha));
  const double start = control.elapsed();
  const Index epochs = restricted_.n_epochs();
  Run run;
  run.solution.alpha = alpha;
  run.tol = settings_.tol;
  run.effort = restricted_.effort();
  pricing_.reset();
  restricted_.precision = op_.float_products() ? Precision::standard : Precision::accurate;
  WorkingSet& working = restricted_.working;
  working.reset(op_, std::vector<Index>(working.blocks), weights_, alpha);
  extrapolate(alpha);
  last_alpha_ = alpha;
  try {
    iterate(run, control);
  } catch (const StopRequest& stop) {
    run.solution.status = stop.status;
  }
  if (run.solution.status == Status::numerical_error) {
    working.reset(op_, {}, weights_, alpha);
    restricted_.free.coefs().setZero();
  }
  if (run.solution.status != Status::optimal && run.solution.status != Status::stalled) {
    if (run.theta.size() == 0) restricted_.refresh_fit(), restricted_.dual_point(run.theta);
    certify_now(run, control);
  }
  collect(run.solution);
  run.solution.n_epochs = restricted_.n_epochs() - epochs;
  run.solution.seconds = control.elapsed() - start;
  return std::move(run.solution);
}

}  // namespace cvxnn
