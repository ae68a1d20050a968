#include <memory>
#include <variant>

#include "bindings.hpp"
#include "cvxnn/cone_peaks.hpp"
#include "cvxnn/errors.hpp"
#include "cvxnn/make_loss.hpp"
#include "cvxnn/operators/dense.hpp"
#include "cvxnn/operators/feature.hpp"
#include "cvxnn/operators/masked.hpp"
#include "cvxnn/operators/signed.hpp"
#include "cvxnn/operators/sparse_masked.hpp"
#include "cvxnn/solver.hpp"

namespace cvxnn::bindings {
namespace {

// The part of a problem that every design shares.
struct Objective {
  Matrix y;
  Vector omega;
  std::string loss;
  double delta;
  Vector weights;
  Matrix free;
  std::string norm;
  double l1_ratio;
  double l2_ratio;
  Index block_rows;
};

py::dict to_dict(const Progress& p) {
  py::dict d;
  d["iteration"] = p.iteration;
  d["primal"] = p.primal;
  d["dual"] = p.dual;
  d["gap"] = p.gap;
  d["n_active"] = p.n_active;
  d["n_working"] = p.n_working;
  d["alpha"] = p.alpha;
  d["elapsed"] = p.elapsed;
  return d;
}

py::dict to_dict(const Solution& s) {
  py::list trace;
  for (const Progress& p : s.trace) trace.append(to_dict(p));
  py::dict d;
  d["status"] = name(s.status);
  d["alpha"] = s.alpha;
  d["primal"] = s.certificate.primal;
  d["dual"] = s.certificate.dual;
  d["gap"] = s.certificate.gap;
  d["theta"] = s.certificate.Theta;
  d["blocks"] = CArray<Index>(static_cast<py::ssize_t>(s.blocks.size()), s.blocks.data());
  d["coefs"] = s.coefs;
  d["free_coefs"] = s.free_coefs;
  d["n_iter"] = s.n_iter;
  d["n_epochs"] = s.n_epochs;
  d["seconds"] = s.seconds;
  d["trace"] = trace;
  return d;
}

Control make_control(double time_limit, const py::object& callback) {
  Control control;
  control.check_signals = check_signals;
  control.time_limit = time_limit;
  if (!callback.is_none()) {
    control.on_progress = [callback](const Progress& progress) {
      py::gil_scoped_acquire gil;
      return py::bool_(callback(to_dict(progress))).cast<bool>();
    };
  }
  return control;
}

std::unique_ptr<Operator> measured(std::unique_ptr<Operator> design, const Objective& objective) {
  design->set_penalty(block_norm(objective.norm, objective.l1_ratio, objective.block_rows),
                      objective.l2_ratio);
  return design;
}

struct Problem {
  std::unique_ptr<Operator> op;
  std::unique_ptr<Loss> loss;
  std::unique_ptr<Solver> solver;

  Problem(std::unique_ptr<Operator> design, Objective objective, const Settings& settings)
      : op(measured(std::move(design), objective)),
        loss(make_loss(objective.loss, std::move(objective.y), std::move(objective.omega),
                       objective.delta)),
        solver(std::make_unique<Solver>(*op, *loss, std::move(objective.weights),
                                        std::move(objective.free), settings)) {}
};

Method method(const std::string& solver) {
  if (solver == "auto") return Method::automatic;
  if (solver == "bcd") return Method::bcd;
  if (solver == "fista") return Method::fista;
  if (solver == "newton") return Method::newton;
  if (solver == "interior_point") return Method::interior_point;
  throw InvalidArgument("unknown solver '" + solver + "'");
}

using Init = std::optional<std::tuple<std::vector<Index>, Vector, Matrix>>;

// Solves at each alpha in turn, each from the one before; ends early if a solve was stopped.
py::list run_path(std::unique_ptr<Operator> design, Objective objective, const Settings& settings,
                  const std::vector<double>& alphas, const Init& init, double time_limit,
                  const py::object& callback) {
  Control control = make_control(time_limit, callback);
  std::vector<Solution> solutions;
  {
    py::gil_scoped_release release;
    control.start();
    Problem problem(std::move(design), std::move(objective), settings);
    if (init) {
      problem.solver->warm_start(std::get<0>(*init), std::get<1>(*init), std::get<2>(*init));
    }
    for (const double alpha : alphas) {
      solutions.push_back(problem.solver->solve(alpha, control));
      const Status status = solutions.back().status;
      if (status == Status::time_limit || status == Status::callback) break;
    }
  }
  py::list out;
  for (const Solution& s : solutions) out.append(to_dict(s));
  return out;
}

double run_alpha_max(std::unique_ptr<Operator> design, Objective objective,
                     const Settings& settings) {
  Control control = make_control(std::numeric_limits<double>::infinity(), py::none());
  py::gil_scoped_release release;
  Problem problem(std::move(design), std::move(objective), settings);
  return problem.solver->alpha_max(control);
}

// A design is x and its own description: packed words or the starts of groups of columns.
template <class T>
std::unique_ptr<Operator> masked(const CArray<T>& x, const CArray<Word>& words, int n_threads) {
  return std::make_unique<MaskedDesign<T>>(data_map(x), pattern_view(words, x.shape(0)), n_threads);
}
template <class T>
std::unique_ptr<Operator> by_feature(const CArray<T>& x, const CArray<Word>& words, int n_threads) {
  return std::make_unique<FeatureDesign<T>>(data_map(x), pattern_view(words, x.shape(0)),
                                            n_threads);
}
template <class T>
std::unique_ptr<Operator> sparse_masked(const SparseArrays<T>& x, const CArray<Word>& words,
                                        int n_threads) {
  const SparseRows<T> rows = samples(x);
  return std::make_unique<SparseMaskedDesign<T>>(rows, pattern_view(words, rows.rows()), n_threads);
}
template <class T>
std::unique_ptr<Operator> relu(const CArray<T>& x, const CArray<Word>& words, int n_threads) {
  const ActivationCones cones(data_map(x), pattern_view(words, x.shape(0)));
  return std::make_unique<SignedDesign>(masked(x, words, n_threads), cones);
}
template <class T>
std::unique_ptr<Operator> dense(const CArray<T>& x, const std::vector<Index>& starts,
                                int n_threads) {
  return std::make_unique<DenseDesign<T>>(data_map(x), starts, n_threads);
}

// Blocks of columns of x, all of one size, each in a cone: that of a pattern of other rows, those
// that neurons see before what they put out is pooled, or of its own rows, stacked, and their
// starts.
template <class T>
using PooledCones =
    std::variant<std::tuple<CArray<T>, CArray<Word>>, std::tuple<CArray<T>, std::vector<Index>>>;

template <class T>
ActivationCones activation_cones(const CArray<T>& rows, const CArray<Word>& words) {
  return ActivationCones(data_map(rows), pattern_view(words, rows.shape(0)));
}
template <class T>
ActivationCones activation_cones(const CArray<T>& rows, const std::vector<Index>& starts) {
  return ActivationCones(data_map(rows), starts);
}
Index n_cones(const CArray<Word>& words) { return words.shape(1); }
Index n_cones(const std::vector<Index>& starts) { return static_cast<Index>(starts.size()) - 1; }

template <class T>
std::unique_ptr<Operator> pooled_relu(const CArray<T>& x, const PooledCones<T>& cones,
                                      int n_threads) {
  return std::visit(
      [&](const auto& given) -> std::unique_ptr<Operator> {
        const auto& [rows, description] = given;
        const Index n_blocks = n_cones(description);
        require(n_blocks >= 1 && x.shape(1) % n_blocks == 0,
                "columns must be as many for each of the cones");
        std::vector<Index> starts(static_cast<std::size_t>(n_blocks) + 1);
        for (Index b = 0; b <= n_blocks; ++b) starts[b] = b * (x.shape(1) / n_blocks);
        return std::make_unique<SignedDesign>(dense(x, starts, n_threads),
                                              activation_cones(rows, description));
      },
      cones);
}

template <class Samples, class Description, class Make>
void bind_design(py::module_& m, const std::string& suffix, const char* description, Make make) {
  m.def(
      ("solve_" + suffix).c_str(),
      [make](const Samples& x, const Description& blocks, Matrix y, Vector omega, std::string loss,
             double delta, Vector weights, Matrix free, std::string norm, double l1_ratio,
             double l2_ratio, Index block_rows, const std::vector<double>& alphas, double tol,
             Index max_iter, bool screening, const std::string& solver, int n_threads,
             double time_limit, const py::object& callback, const Init& init) {
        const Settings settings{tol, max_iter, screening, method(solver), n_threads};
        return run_path(
            make(x, blocks, n_threads),
            Objective{std::move(y), std::move(omega), std::move(loss), delta, std::move(weights),
                      std::move(free), std::move(norm), l1_ratio, l2_ratio, block_rows},
            settings, alphas, init, time_limit, callback);
      },
      py::arg("x").noconvert(), py::arg(description), py::arg("y"), py::arg("omega"), py::kw_only(),
      py::arg("loss"), py::arg("delta"), py::arg("weights"), py::arg("free"), py::arg("norm"),
      py::arg("l1_ratio"), py::arg("l2_ratio"), py::arg("block_rows"), py::arg("alphas"),
      py::arg("tol"), py::arg("max_iter"), py::arg("screening"), py::arg("solver"),
      py::arg("n_threads"), py::arg("time_limit"), py::arg("callback"), py::arg("init"));
  m.def(("alpha_max_" + suffix).c_str(),
        [make](const Samples& x, const Description& blocks, Matrix y, Vector omega,
               std::string loss, double delta, Vector weights, Matrix free, std::string norm,
               double l1_ratio, double l2_ratio, Index block_rows, int n_threads) {
          Settings settings;
          settings.n_threads = n_threads;
          return run_alpha_max(
              make(x, blocks, n_threads),
              Objective{std::move(y), std::move(omega), std::move(loss), delta, std::move(weights),
                        std::move(free), std::move(norm), l1_ratio, l2_ratio, block_rows},
              settings);
        },
        py::arg("x").noconvert(), py::arg(description), py::arg("y"), py::arg("omega"),
        py::kw_only(), py::arg("loss"), py::arg("delta"), py::arg("weights"), py::arg("free"),
        py::arg("norm"), py::arg("l1_ratio"), py::arg("l2_ratio"), py::arg("block_rows"),
        py::arg("n_threads"));
}

template <class T, class Description, class Make>
void bind_tight_blocks(py::module_& m, const std::string& suffix, Make make) {
  m.def(("tight_" + suffix).c_str(),
        [make](const CArray<T>& x, const Description& patterns, const Matrix& theta, double least,
               int n_threads) {
          const auto design = make(x, patterns, n_threads);
          Control control;
          control.check_signals = check_signals;
          py::gil_scoped_release release;
          const TightBlocks tight = tight_blocks(*design, theta, least, n_threads, control);
          return std::tuple(tight.blocks, tight.gradients);
        },
        py::arg("x").noconvert(), py::arg("patterns"), py::arg("theta"), py::arg("least"),
        py::kw_only(), py::arg("n_threads"),
        "Blocks whose dual norm is at least `least`, and their gradients, one a column.");
}

template <class T, class Description, class Make>
void bind_cone_peaks(py::module_& m, const std::string& suffix, Make make) {
  m.def(
      ("cone_peaks_" + suffix).c_str(),
      [make](const CArray<T>& x, const Description& cones, const Matrix& theta, double least,
             const Vector& weights, std::vector<Index> start_blocks, Matrix starts, bool thorough,
             int n_threads) {
        const auto design = make(x, cones, n_threads);
        Control control;
        control.check_signals = check_signals;
        py::gil_scoped_release release;
        const ConePeaks peaks = cone_peaks(*design, weights, theta, least,
                                           ConeStarts{std::move(start_blocks), std::move(starts)},
                                           thorough, n_threads, control);
        return std::tuple(peaks.blocks, peaks.values, peaks.directions, peaks.largest, peaks.exact);
      },
      py::arg("x").noconvert(), py::arg("cones"), py::arg("theta"), py::arg("least"), py::kw_only(),
      py::arg("weights"), py::arg("start_blocks"), py::arg("starts"), py::arg("thorough"),
      py::arg("n_threads"), "See cone_peaks.hpp.");
}

template <class T>
void bind_dtype(py::module_& m) {
  bind_tight_blocks<T, CArray<Word>>(m, "masked", masked<T>);
  bind_tight_blocks<T, CArray<Word>>(m, "relu", relu<T>);
  bind_cone_peaks<T, CArray<Word>>(m, "relu", relu<T>);
  bind_cone_peaks<T, PooledCones<T>>(m, "pooled_relu", pooled_relu<T>);
  bind_design<CArray<T>, CArray<Word>>(m, "masked", "words", masked<T>);
  bind_design<SparseArrays<T>, CArray<Word>>(m, "masked", "words", sparse_masked<T>);
  bind_design<CArray<T>, CArray<Word>>(m, "features", "words", by_feature<T>);
  bind_design<CArray<T>, CArray<Word>>(m, "relu", "words", relu<T>);
  m.def(
      "dual_norm_relu",
      [](const CArray<T>& x, const CArray<Word>& words, const Matrix& theta, int n_threads) {
        const auto design = relu(x, words, n_threads);
        Control control;
        control.check_signals = check_signals;
        py::gil_scoped_release release;
        const DualNorm norm = reference_dual_norm(*design, Vector::Ones(design->n_blocks()), theta,
                                                  n_threads, control);
        Matrix neuron(design->block_size(norm.block), 1);
        design->gradient(norm.block, theta, neuron);
        design->restrict(norm.block, neuron);
        neuron.col(0).stableNormalize();
        return std::tuple(norm.value, norm.block, Vector(neuron));
      },
      py::arg("x").noconvert(), py::arg("words"), py::arg("theta"), py::kw_only(),
      py::arg("n_threads"), "The dual norm over these patterns, its block, and its neuron.");
  bind_design<CArray<T>, std::vector<Index>>(m, "groups", "starts", dense<T>);
  bind_design<CArray<T>, PooledCones<T>>(m, "pooled_relu", "cones", pooled_relu<T>);
}

}  // namespace

void bind_solver(py::module_& m) {
  bind_dtype<float>(m);
  bind_dtype<double>(m);
  m.def(
      "loss_value",
      [](const std::string& loss, double delta, Matrix y, Vector omega, const Matrix& fit) {
        return make_loss(loss, std::move(y), std::move(omega), delta)->value(fit);
      },
      py::arg("loss"), py::arg("delta"), py::arg("y"), py::arg("omega"), py::arg("fit"));
  m.def(
      "feasible_dual_point",
      [](const std::string& name, double delta, Matrix y, Vector omega, Matrix columns,
         const Matrix& fit) {
        const auto loss = make_loss(name, std::move(y), std::move(omega), delta);
        Matrix theta(fit.rows(), fit.cols());
        Vector h(fit.rows());
        loss->dual_point(fit, theta);
        loss->curvature(fit, h);
        Unpenalised free(std::move(columns), fit.cols());
        free.set_curvature(h);
        free.project(theta);
        loss->clip(theta);
        return theta;
      },
      py::arg("loss"), py::arg("delta"), py::arg("y"), py::arg("omega"), py::arg("free"),
      py::arg("fit"), "Minus the gradient of the loss, orthogonal to the free columns.");
  m.def(
      "lower_bound",
      [](const std::string& name, double delta, Matrix y, Vector omega, Matrix columns,
         const Matrix& theta, double limit) {
        const auto loss = make_loss(name, std::move(y), std::move(omega), delta);
        return lower_bound(*loss, Unpenalised(std::move(columns), theta.cols()), theta, limit);
      },
      py::arg("loss"), py::arg("delta"), py::arg("y"), py::arg("omega"), py::arg("free"),
      py::arg("theta"), py::arg("limit"), "See certificate.hpp.");
}

}  // namespace cvxnn::bindings
