"""What `ratelab lr-find` suggests, beside the best fixed rate of a grid of whole trainings.

    python benchmarks/lr_find.py [--only NAME ...] [--quick] [--json FILE] [--figure FILE]

For each setting: one `ratelab lr-find`; a sweep over a grid of fixed rates, three a decade, three seeds each,
on the validation split; the same sweep at the suggested rates. Printed: the rates, the validation accuracy
that training at them gives (mean over the seeds), and the seconds of both ways, start to exit. The accuracy
that a suggestion loses against the best of the grid is what it costs to believe it.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from ratelab.commands.recorded_study import load
from ratelab.comparison import study
from ratelab.tracking import find_runs, prepare_store

ROOT = Path(__file__).parents[1]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py")]
FIND = [sys.executable, "-m", "ratelab", "lr-find"]
SEEDS = "seed=10,11,12"  # none of those that lr-find uses
LINES = (("#d62728", "-"), ("#2ca02c", "--"), ("#9467bd", ":"))
RULES = ("steepest", "valley", "divergence")
# What is trained, for how many epochs, and the ends of the grid.
SETTINGS: dict[str, tuple[list[str], int, float, float]] = {
    "softmax, normal start": (["model=softmax", "model.start=normal"], 50, 0.01, 10),
    "softmax, zero start": (["model=softmax", "model.start=zero"], 50, 0.01, 10),
    "softmax, adam": (["model=softmax", "optimizer=adam"], 50, 0.0001, 1),
    "mlp": (["model=mlp"], 10, 0.001, 1),
    "mlp, adam": (["model=mlp", "optimizer=adam"], 10, 0.0001, 0.1),
    "cnn on digits": (["model=cnn", "data=digits"], 30, 0.001, 1),
}


def timed(folder: Path, command: Sequence[str]) -> float:
    """Run a command in `folder`, which must succeed; return its seconds, start to exit."""
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return time.perf_counter() - begin


def suggested(folder: Path, overrides: Sequence[str]) -> tuple[dict[str, float], float]:
    """Return the rate that each rule suggests, and the seconds it took."""
    seconds = timed(folder, [*FIND, *overrides])
    from mlflow import MlflowClient

    client = MlflowClient(prepare_store("sqlite:///mlruns/mlflow.db", folder))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    [run] = client.search_runs(ids, "tags.kind = 'lr_find'")
    return {rule: run.data.metrics[f"suggested_{rule}"] for rule in RULES}, seconds


def accuracies(
    folder: Path, overrides: Sequence[str], epochs: int, rates: Sequence[float]
) -> tuple[dict[float, float], float]:
    """Train at each rate; return the mean validation accuracy by rate, and the seconds."""
    values = ",".join(f"{rate:.4g}" for rate in rates)
    words = ["schedule=fixed", f"learning_rate={values}", SEEDS, f"epochs={epochs}", "test=false"]
    seconds = timed(folder, [*TRAIN, "-m", *overrides, *words])
    store = prepare_store("sqlite:///mlruns/mlflow.db", folder)
    [tuned] = study(load(store, find_runs(store).runs)[0]).tuned
    return dict(zip(tuned.rates, tuned.means, strict=True)), seconds


def draw(numbers: dict[str, Any], path: Path) -> None:
    """Draw each grid and the suggestions into one figure."""
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(2, 3).flat, numbers.items(), strict=False):
        rates = [float(rate) for rate in found["grid"]]
        axes.plot(rates, list(found["grid"].values()), "o-", color="0.3", markersize=3, label="grid")
        for (rule, rate), style in zip(found["suggested"].items(), LINES, strict=True):
            axes.axvline(rate, label=rule, color=style[0], linestyle=style[1])
        best = max(found["grid"].values())
        axes.set(xscale="log", title=name, ylim=(best - 0.06, best + 0.005))
    figure.supxlabel("fixed learning rate")
    figure.supylabel("validation accuracy, mean of 3 seeds")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=130)


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(SETTINGS)), help="Of the settings.")
@click.option("--quick", is_flag=True, help="Two epochs: to see that it works.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the numbers here.")
@click.option("--figure", type=click.Path(path_type=Path), help="Also draw them here.")
def main(only: Sequence[str], quick: bool, file: Path | None, figure: Path | None) -> None:
    """Measure and print."""
    table, numbers = Table(title="fixed rate (validation accuracy, mean of 3 seeds)"), {}
    for heading in ("setting", "best of the grid", *RULES, "lr-find, s", "grid, s"):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    for name in only or SETTINGS:
        overrides, epochs, low, high = SETTINGS[name]
        points = round(3 * np.log10(high / low)) + 1
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            rates, find_seconds = suggested(folder, overrides)
            epochs = 2 if quick else epochs
            grid, seconds = accuracies(folder, overrides, epochs, np.geomspace(low, high, points))
            at, _ = accuracies(folder, overrides, epochs, list(rates.values()))
        best = max(grid, key=lambda rate: grid[rate])
        cells = [f"{rate:.3g} ({at[float(f'{rate:.4g}')]:.4f})" for rate in rates.values()]
        table.add_row(name, f"{best:.3g} ({grid[best]:.4f})", *cells, f"{find_seconds:.1f}", f"{seconds:.1f}")
        numbers[name] = {"grid": grid, "suggested": rates, "at": at, "seconds": [find_seconds, seconds]}
    Console(width=140).print(table)
    if file is not None:
        file.write_text(json.dumps(numbers, indent=2))
    if figure is not None:
        draw(numbers, figure)


if __name__ == "__main__":
    main()
