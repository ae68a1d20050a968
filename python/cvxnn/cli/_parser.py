"""The arguments of the commands."""

import argparse
from collections.abc import Callable
from pathlib import Path

from cvxnn.cli import _commands as commands

_DATA = "a .csv, .parquet or .npz file"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; what it parses has the command's function as ``run``."""
    parser = argparse.ArgumentParser(
        prog="cvxnn",
        description="Globally optimal neural networks.",
        epilog="Exit status: 0 done, 1 not converged or not optimal, 2 bad input, 130 interrupted.",
    )
    adder = parser.add_subparsers(dest="command", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        command = adder.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=run)
        return command

    fit = add("fit", commands.run_fit, "train a network and write it to a file")
    _add_training(fit)
    strength = fit.add_mutually_exclusive_group()
    strength.add_argument("--alpha", type=float, help="regularisation strength")
    strength.add_argument(
        "--alpha-ratio", type=float, help="the same, relative to where the network is empty"
    )
    _add_output(fit, "MODEL", "the network, an npz archive", required=True)

    path = add("path", commands.run_path, "print a table of networks over regularisation strengths")
    _add_training(path)
    path.add_argument("--n-alphas", type=int, default=20, help="strengths (default: %(default)s)")
    path.add_argument(
        "--eps", type=float, default=0.01, help="smallest over largest (default: %(default)s)"
    )

    predict = add("predict", commands.run_predict, "print predictions, one line a row")
    predict.add_argument("model", type=Path, metavar="MODEL", help="a saved network")
    _add_data(predict)
    predict.add_argument("--scores", action="store_true", help="outputs in place of labels")
    _add_output(predict, "FILE", "write .csv or .npz in place of stdout")
    _add_run(predict)

    certify = add("certify", commands.run_certify, "bound how far a ReLU network is from optimal")
    certify.add_argument("model", type=Path, metavar="MODEL", help="a saved network")
    _add_data(certify)
    certify.add_argument("--alpha", type=float, help="strength (default: that of the fit)")
    certify.add_argument("--loss", help="default: that of the fit")
    certify.add_argument(
        "--method", choices=("auto", "exact", "bound", "search"), default="auto", help="how"
    )
    certify.add_argument(
        "--tol", type=float, default=1e-6, help="relative gap to accept (default: %(default)s)"
    )
    _add_run(certify)
    _add_seed(certify)

    export = add("export", commands.run_export, "write a network for ONNX runtimes or torch")
    export.add_argument("model", type=Path, metavar="MODEL", help="a saved network")
    _add_output(export, "FILE", ".onnx, or .pt for a state dict", required=True)
    export.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        help="default: float64, but float32 for ONNX models of convolutions",
    )

    demo = add("demo", commands.run_demo, "train certified networks on two real data sets")
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("cvxnn_demo"),
        metavar="FOLDER",
        help="where networks and picture go (default: %(default)s)",
    )
    info = add("info", commands.run_info, "print versions and the core, or what a network is")
    info.add_argument("model", type=Path, metavar="MODEL", nargs="?", help="a saved network")
    info.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help=_DATA)
    parser.add_argument(
        "--target", help="column of the target, by name or index; npz: its array (default: y)"
    )
    parser.add_argument("--inputs", default="X", help="npz: array of inputs (default: X)")
    parser.add_argument("--no-header", action="store_true", help="CSV without a row of names")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, help="default: OpenMP's setting")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress, notes or warnings")


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")


def _add_output(
    parser: argparse.ArgumentParser, metavar: str, text: str, *, required: bool = False
) -> None:
    parser.add_argument("-o", "--output", type=Path, metavar=metavar, help=text, required=required)


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Add the data and what decides a fit; defaults are those of the estimators."""
    _add_data(parser)
    parser.add_argument("--task", choices=("regression", "classification"), required=True)
    parser.add_argument("--loss", help="default: squared, or logistic")
    parser.add_argument("--penalty", help="of blocks, see the estimators (default: theirs)")
    parser.add_argument("--l1-ratio", type=float, help="share of the entries in sparse_group")
    parser.add_argument("--l2-ratio", type=float, help="share of the squares in elastic")
    parser.add_argument("--activation", choices=("relu", "gated_relu"), help="kind of neurons")
    parser.add_argument("--patterns", choices=("sample", "exact", "adaptive"), help="which")
    parser.add_argument("--n-patterns", type=int, help="gates to sample")
    parser.add_argument("--tol", type=float, help="relative duality gap at which to stop")
    parser.add_argument("--max-iter", type=int, help="limit on evaluations of the gap")
    parser.add_argument("--time-limit", type=float, help="limit in seconds, of each solve")
    parser.add_argument("--no-intercept", action="store_true", help="no biases")
    parser.add_argument("--no-standardize", action="store_true", help="take the data as they are")
    _add_seed(parser)
    _add_run(parser)
