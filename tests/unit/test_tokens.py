"""Token mixing: maps, their adjoints and designs, factors, and networks."""

import re

import numpy as np
import pytest

import cvxnn
from cvxnn import _token_design
from cvxnn._designs import design_program
from cvxnn._factors import FactorProgram
from cvxnn._heads import FormedMaps, Heads
from cvxnn._mixing import MIXINGS
from cvxnn._problem import make_problem
from cvxnn._token_design import token_design

N, S, D = 5, 4, 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, S, D))
SOLVE = {
    "tol": 1e-7,
    "max_iter": 200,
    "time_limit": None,
    "n_threads": 1,
    "screening": True,
    "solver": "auto",
    "callback": None,
    "verbose": 0,
}

MIXING = pytest.mark.parametrize("kind", MIXINGS)
POOLED = pytest.mark.parametrize("pooled", [True, False])
CHANNELS = np.array([[0, 2], [1, 2]])


def designs(kind, pooled):
    """Return every variant of a design: linear, gated, and of some channels each."""
    mixing = MIXINGS[kind](X, pooled=pooled)
    gates = np.random.default_rng(1).standard_normal((3, *mixing.weight_shape(S, D)))
    found = [token_design(mixing, "linear"), token_design(mixing, "gated_relu", gates)]
    if kind == "fno":
        found.append(token_design(mixing, "linear", None, CHANNELS))
        found.append(token_design(mixing, "gated_relu", gates, CHANNELS))
    return found


def map_by_hand(kind, x, weight, gate):
    """Return the map of one head on the tokens of one sample."""

    def scores(w):
        if kind == "self_attention":
            return x @ w @ x.T
        if kind == "mlp_mixer":
            return w @ x
        circulant = [np.roll(x[::-1], t + 1, axis=0).ravel() for t in range(S)]
        return np.stack(circulant) @ w.reshape(-1, 1)

    active = np.where(scores(gate) > 0, scores(weight), 0.0)
    return active @ x if kind == "self_attention" else active


class TestMaps:
    @MIXING
    @POOLED
    def test_they_are_those_of_the_formula(self, kind, pooled):
        mixing = MIXINGS[kind](X, pooled=pooled)
        shape = mixing.weight_shape(S, D)
        weights, gates = RNG.standard_normal((2, *shape)), RNG.standard_normal((2, *shape))
        got = mixing.maps(weights, mixing.active(gates), np.arange(2))
        for j in range(2):
            by_hand = np.stack([map_by_hand(kind, x, weights[j], gates[j]) for x in X])
            wanted = by_hand.mean(axis=1) if pooled else by_hand.reshape(N * S, -1)
            np.testing.assert_allclose(got[:, j], wanted, atol=1e-13)

    @MIXING
    @POOLED
    def test_adjoint(self, kind, pooled):
        for design in designs(kind, pooled):
            owner = RNG.integers(0, design.n_blocks, 6)
            hidden = RNG.standard_normal((6, design.n_inputs))
            maps = design.maps(hidden, owner)
            other = RNG.standard_normal(maps.shape)
            back = design.adjoint(other, owner)
            assert np.vdot(maps, other) == pytest.approx(np.vdot(hidden, back), abs=1e-12)

    @MIXING
    @POOLED
    def test_formed_blocks_are_the_same(self, kind, pooled):
        for design in designs(kind, pooled):
            formed, owner = design.formed(), RNG.integers(0, design.n_blocks, 6)
            hidden = RNG.standard_normal((6, design.n_inputs))
            maps = design.maps(hidden, owner)
            np.testing.assert_allclose(formed.maps(hidden, owner), maps, atol=1e-13)
            back = design.adjoint(maps, owner)
            np.testing.assert_allclose(formed.adjoint(maps, owner), back, atol=1e-12)

    @MIXING
    def test_parts_of_the_heads_are_put_together(self, kind, monkeypatch):
        mixing = MIXINGS[kind](X, pooled=True)
        weights = RNG.standard_normal((7, *mixing.weight_shape(S, D)))
        masks, owner = mixing.active(weights), np.arange(7)[::-1].copy()
        maps = mixing.maps(weights, masks, owner)
        back = mixing.adjoint(maps, masks, owner)
        monkeypatch.setattr("cvxnn._mixing._CHUNK", 3 * mixing.n_scores)
        assert len(list(mixing.parts(7))) == 3
        np.testing.assert_allclose(mixing.maps(weights, masks, owner), maps, rtol=1e-12)
        np.testing.assert_allclose(mixing.adjoint(maps, masks, owner), back, rtol=1e-12)
        np.testing.assert_array_equal(mixing.active(weights), masks)

    @MIXING
    def test_scores_are_products_with_what_neurons_see(self, kind):
        mixing = MIXINGS[kind](X, pooled=True)
        weights = RNG.standard_normal((2, *mixing.weight_shape(S, D)))
        scores = np.moveaxis(mixing.scores(weights), mixing.neuron_axis, 0)
        assert scores.shape == (2, *mixing.score_shape)
        products = weights.reshape(2, -1) @ mixing.seen().T
        np.testing.assert_allclose(scores.reshape(2, -1), products, atol=1e-13)

    def test_a_circular_convolution_is_a_product_in_fourier_space(self):
        kernel = RNG.standard_normal((S, D))
        spectra = np.fft.fft(X, axis=1) * np.fft.fft(kernel, axis=0)
        wanted = np.fft.ifft(spectra, axis=1).real.sum(axis=2)
        scores = MIXINGS["fno"](X, pooled=False).scores(kernel[None])
        np.testing.assert_allclose(scores[:, 0].T, wanted, atol=1e-13)


class TestDesign:
    @MIXING
    def test_gates_with_the_same_masks_are_one_block(self, kind):
        mixing = MIXINGS[kind](X, pooled=True)
        gate = RNG.standard_normal((1, *mixing.weight_shape(S, D)))
        design = token_design(mixing, "gated_relu", np.concatenate([gate, 2 * gate, -gate]))
        assert design.n_blocks == 2
        np.testing.assert_array_equal(design.gates, np.concatenate([gate, -gate]))

    @MIXING
    def test_gates_that_are_active_nowhere_are_refused(self, kind):
        mixing = MIXINGS[kind](X, pooled=True)
        zero = np.zeros((1, *mixing.weight_shape(S, D)))
        with pytest.raises(ValueError, match="gates must be active on some token"):
            token_design(mixing, "gated_relu", zero)

    def test_a_large_design_is_refused_before_it_is_formed(self, monkeypatch):
        design = token_design(MIXINGS["self_attention"](X, pooled=True), "linear")
        monkeypatch.setattr(_token_design, "LARGEST_DESIGN", design.nbytes - 1)
        with pytest.raises(ValueError, match=re.escape("5 rows and 1 blocks of 9 x 3 takes")):
            design.block_design()
        options = {"activation": "linear", "fit_intercept": False, "n_threads": 1}
        with pytest.raises(ValueError, match="use solver='factor', fewer patterns"):
            cvxnn.ConvexSelfAttention(solver="block", **options).fit(X, np.arange(N))
        model = cvxnn.ConvexSelfAttention(alpha=1.0, **options).fit(X, np.arange(N))
        assert model.solver_ == "factor"

    @MIXING
    def test_relu_blocks_are_cones_of_what_neurons_see(self, kind):
        mixing = MIXINGS[kind](X, pooled=False)
        gates = RNG.standard_normal((3, *mixing.weight_shape(S, D)))
        design = token_design(mixing, "relu", gates)
        rows, patterns = design.cones
        np.testing.assert_array_equal(design.masks, mixing.active(design.gates))
        np.testing.assert_array_equal(patterns.to_dense(), rows @ gates.reshape(3, -1).T > 0)

    @MIXING
    def test_what_too_many_relu_neurons_see_is_refused(self, kind, monkeypatch):
        mixing = MIXINGS[kind](X, pooled=True)
        gates = RNG.standard_normal((3, *mixing.weight_shape(S, D)))
        monkeypatch.setattr(_token_design, "LARGEST_DESIGN", 8 * mixing.seen().size - 1)
        with pytest.raises(ValueError, match=f"neurons see, {mixing.n_scores} rows of"):
            token_design(mixing, "relu", gates)


def problem(design, y, loss="squared", fit_intercept=False):
    return make_problem(
        np.zeros((design.n_rows, 1)),
        y,
        design.n_blocks,
        loss=loss,
        sample_weight=None,
        weights=None,
        fit_intercept=fit_intercept,
        penalty="nuclear",
        several=True,
    )


class TestFactors:
    def test_balanced_heads_are_fewest_and_the_same_network(self):
        hidden, output = RNG.standard_normal((5, 6)), RNG.standard_normal((5, 3, 2))
        hidden[2], output[4] = 3 * hidden[0], -output[3]
        heads = Heads(hidden, output, np.array([0, 1, 0, 2, 2]), np.zeros(2))
        fewer, norm = heads.balanced()
        assert sorted(fewer.owner) == [0, 1, 2]
        total = 0.0
        for block in range(3):
            before, after = (
                np.einsum("ji,jlc->ilc", h.hidden[h.owner == block], h.output[h.owner == block])
                for h in (heads, fewer)
            )
            np.testing.assert_allclose(after, before, atol=1e-13)
            total += np.linalg.norm(before.reshape(6, 6), "nuc")
        assert norm == pytest.approx(total, rel=1e-12)
        assert np.vdot(fewer.hidden, fewer.hidden) == pytest.approx(norm, rel=1e-12)

    @MIXING
    def test_lanczos_finds_the_singular_values_of_the_gradient(self, kind, monkeypatch):
        design = designs(kind, False)[1]
        y = RNG.standard_normal((design.n_rows, 4))
        program, theta = FactorProgram(problem(design, y), design), y / design.n_rows
        assert min(design.n_inputs, 4 * design.n_positions) > 3
        monkeypatch.setattr("cvxnn._factors._PAIRS", 3)
        for block in range(design.n_blocks):
            dense = program._top_pairs(theta, block)
            monkeypatch.setattr("cvxnn._factors._DENSE", 0)
            values, hidden, output = program._top_pairs(theta, block)
            monkeypatch.setattr("cvxnn._factors._DENSE", 64)
            np.testing.assert_allclose(values, dense[0][:3], rtol=1e-10)
            blocks = design.formed().blocks[block]
            gradient = np.einsum("rli,rc->ilc", blocks, theta).reshape(design.n_inputs, -1)
            np.testing.assert_allclose(gradient @ output.T, hidden.T * values, atol=1e-10)

    def test_lanczos_of_a_zero_gradient(self, monkeypatch):
        monkeypatch.setattr("cvxnn._factors._DENSE", 0)
        design = designs("mlp_mixer", True)[0]
        program = FactorProgram(problem(design, np.zeros((N, 2))), design)
        assert program.alpha_max() == 0.0

    @pytest.mark.parametrize("dense", [0, 64])
    @pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
    def test_losses_and_intercepts(self, loss, dense, monkeypatch):
        monkeypatch.setattr("cvxnn._factors._DENSE", dense)
        monkeypatch.setattr("cvxnn._factors._PAIRS", 2)
        rng = np.random.default_rng(4)
        mixing = MIXINGS["mlp_mixer"](rng.standard_normal((30, 3, 3)), pooled=True)
        design = token_design(mixing, "linear")
        labels = rng.integers(0, 3, 30)[:, None] == np.arange(3)
        y = {"squared": labels + 1.0, "softmax": labels * 1.0, "logistic": 2.0 * labels - 1.0}[loss]
        options = {"loss": loss, "sample_weight": None, "fit_intercept": True}
        block = design_program(design.block_design(), y, penalty="nuclear", **options)
        alpha = 0.1 * block.alpha_max(1)
        factor = FactorProgram(problem(design, y, loss, True), design)
        assert factor.alpha_max() == pytest.approx(10 * alpha, rel=1e-6)
        wanted = block.solve([alpha], **{**SOLVE, "tol": 1e-8})[0]
        got = factor.solve([alpha], **{**SOLVE, "tol": 1e-6})[0]
        assert got.status == "optimal"
        assert got.primal == pytest.approx(wanted.primal, rel=2e-6)
        assert got.dual <= wanted.primal
        assert got.theta.shape == y.shape
        np.testing.assert_allclose(got.theta.sum(axis=0), 0.0, atol=1e-10)

    def test_stops(self):
        design = designs("mlp_mixer", True)[0]
        program = FactorProgram(problem(design, RNG.standard_normal((N, 2))), design)
        alpha = 0.01 * program.alpha_max()
        seen = []
        stopped = program.solve([alpha], **{**SOLVE, "callback": lambda i: seen.append(i) or True})
        assert (stopped[0].status, len(seen), seen[0].iteration) == ("callback", 1, 1)
        few = program.solve([alpha], **{**SOLVE, "max_iter": 1})[0]
        assert (few.status, few.n_iter) == ("max_iter", 1)
        late = program.solve([alpha], **{**SOLVE, "time_limit": 1e-9})[0]
        assert late.status == "time_limit"
        for result in (*stopped, few, late):
            assert 0 <= result.gap == result.primal - result.dual

    def test_it_says_when_rounding_stops_it(self):
        design = designs("fno", True)[1]
        program = FactorProgram(problem(design, RNG.standard_normal((N, 2))), design)
        result = program.solve([0.1 * program.alpha_max()], **{**SOLVE, "tol": 1e-15})[0]
        assert result.status == "stalled"
        assert result.gap_rel < 1e-5

    def test_coordinates_and_their_adjoint(self):
        design = designs("mlp_mixer", True)[1]
        for maps in (design, design.formed()):
            program = FactorProgram(problem(design, RNG.standard_normal((N, 2))), maps)
            hidden, output = RNG.standard_normal((4, S * S)), RNG.standard_normal((4, D, 2))
            heads = Heads(hidden, output, np.array([0, 2, 2, 1]), np.zeros(2))
            coordinates = program._coordinates(heads, 0.01)
            for got, wanted in zip(
                coordinates.weights(*coordinates.point(hidden, output)),
                (hidden, output),
                strict=True,
            ):
                np.testing.assert_allclose(got, wanted, atol=1e-12)
            other = RNG.standard_normal(hidden.shape), RNG.standard_normal(output.shape)
            there, back = coordinates.weights(hidden, output), coordinates.gradients(*other)
            forward = np.vdot(there[0], other[0]) + np.vdot(there[1], other[1])
            assert forward == pytest.approx(
                np.vdot(hidden, back[0]) + np.vdot(output, back[1]), abs=1e-11
            )

    def test_a_path_starts_from_the_last_network(self):
        design = designs("fno", False)[1]
        program = FactorProgram(problem(design, RNG.standard_normal((N * S, 2))), design)
        alphas = program.alpha_max() * np.array([0.5, 0.25])
        path = program.solve(alphas, **SOLVE)
        alone = program.solve(alphas[1:], **SOLVE)[0]
        assert [result.status for result in path] == ["optimal"] * 2
        assert path[1].primal == pytest.approx(alone.primal, rel=1e-6)

    def test_progress_is_logged(self, caplog):
        design = designs("fno", True)[0]
        program = FactorProgram(problem(design, RNG.standard_normal((N, 2))), design)
        program.solve([0.5 * program.alpha_max()], **{**SOLVE, "verbose": 1})
        assert "primal" in caplog.text

    def test_sizes_of_formed_blocks(self):
        maps = FormedMaps(np.zeros((2, 3, 4, 5)))
        assert (maps.n_blocks, maps.n_rows, maps.n_positions, maps.n_inputs) == (2, 3, 4, 5)
