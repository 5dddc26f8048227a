"""Which rule chooses the base rate from a tuned grid? What it loses against the best rate of the grid.

    python benchmarks/rate_choice.py   # real sweeps of MNIST, then simulated ones; half an hour
    python benchmarks/rate_choice.py --only simulated
    python benchmarks/rate_choice.py --real-seeds 6 --sweeps 50   # to see that it works

Real: every schedule is trained at every rate with many seeds by `ratelab.sweep`, on the validation split.
Tuned sweeps of three seeds are drawn from these, and the truth is the mean over the seeds not drawn.
Simulated: curves with a best rate and a cliff behind it, where seeds fail one by one. Lost: the truth at the
best rate less that at the rate chosen, in ten-thousandths of accuracy. A diverged run counts as 0.

The rules with more seeds cost more: they are what the same rules could gain, at the runs that are said.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import ratelab
from ratelab.comparison import Tuned
from ratelab.tasks import ACCURACY

Numbers = np.ndarray
Rule = Callable[[Numbers], int]  # from values[rates, seeds] to the place of the rate

SEEDS = 3  # of a tuned sweep
MOST_SEEDS = 8  # of the rules that take more
SIMULATED = np.geomspace(0.01, 10, 7)
# The schedules and the ends of the grid; with 550 steps the staircase of the tutorial is a fixed rate.
REAL = {
    1: (("fixed", "exponential", "cosine"), (0.01, 0.0316, 0.1, 0.316, 1.0, 3.16, 10.0, 31.6, 100.0)),
    5: (("fixed", "exponential", "staircase", "cosine"), (0.1, 0.316, 1.0, 3.16, 10.0, 31.6)),
}
CONSOLE = Console(width=160)


def best_mean(values: Numbers) -> int:
    """Return the rate with the best mean: the rule until now."""
    return int(values.mean(1).argmax())


def ours(values: Numbers) -> int:
    """Return what `Tuned` takes: the lowest rate that no other beats by a standard error, seed by seed."""
    return tuned(values).place


def tuned(values: Numbers) -> Tuned:
    """Return the values as a grid of ratelab's."""
    rates, seeds = values.shape
    return Tuned(
        name="simulated",
        rates=tuple(float(rate) for rate in range(1, rates + 1)),
        seeds=(tuple(range(seeds)),) * rates,
        values=tuple(tuple(row) for row in values.tolist()),
        diverged=(0,) * rates,
        outcome=ACCURACY,
        worst=0.0,
    )


def within_own_error(values: Numbers) -> int:
    """Return the lowest rate within a standard error of the best mean, the error that of the best itself."""
    means = values.mean(1)
    error = values[means.argmax()].std(ddof=1) / np.sqrt(values.shape[1])
    return int(np.flatnonzero(means >= means.max() - error)[0])


def lower_bound(values: Numbers, errors: float) -> int:
    """Return the rate with the best mean less some standard errors of its own."""
    return int((values.mean(1) - errors * values.std(1, ddof=1) / np.sqrt(values.shape[1])).argmax())


def smooth(values: Numbers, share: float) -> Numbers:
    """Return the values, of each a share replaced by either neighbour in log rate; an end is its own."""
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    return share * padded[:-2] + (1 - 2 * share) * padded[1:-1] + share * padded[2:]


def median_of_three(values: Numbers) -> int:
    """Return the rate with the best median of its mean and its neighbours'; of equals the better."""
    padded = np.pad(values.mean(1), 1, mode="edge")
    medians = np.median([padded[:-2], padded[1:-1], padded[2:]], 0)
    return int(np.lexsort((values.mean(1), medians))[-1])


def worst_seed(values: Numbers) -> int:
    """Return the rate whose worst seed is best."""
    return int(values.min(1).argmax())


def halving(values: Numbers, rule: Rule, first: int, rounds: Sequence[tuple[int, int]]) -> int:
    """Return what a rule takes of the rates that are left when the best got more seeds.

    Args:
        values: with as many seeds as the last round has.
        rule: for the last round.
        first: seeds of each rate.
        rounds: of each, how many rates are left, and their seeds.
    """
    places, seeds = np.arange(len(values)), first
    for left, more in rounds:
        means = values[places, :seeds].mean(1)
        places, seeds = np.sort(places[np.argsort(-means, kind="stable")[:left]]), more
    return int(places[rule(values[places, :seeds])])


def of_seeds(rule: Rule, seeds: int) -> Rule:
    """Return the rule for the first seeds alone."""
    return lambda values: rule(values[:, :seeds])


EQUAL: dict[str, Rule] = {
    "best mean (until now)": best_mean,
    "lowest, none a paired error better (ratelab)": ours,
    "within 1 error of the best": within_own_error,
    "mean - 1 error": partial(lower_bound, errors=1),
    "mean - 2 errors": partial(lower_bound, errors=2),
    "best worst seed": worst_seed,
    "median with neighbours": median_of_three,
    "mean with neighbours, 1/10 each": lambda values: best_mean(smooth(values, 0.1)),
    "mean with neighbours, 1/4 each": lambda values: best_mean(smooth(values, 0.25)),
    "1/20 each, then as ratelab": lambda values: ours(smooth(values, 0.05)),
}
# of 7 rates: 21 runs of a schedule as above; 21; 21; 35; 35; 36
RULES: dict[str, Rule] = {
    **{name: of_seeds(rule, SEEDS) for name, rule in EQUAL.items()},
    "halving 1, 3, 6, best mean": partial(halving, rule=best_mean, first=1, rounds=((4, 3), (2, 6))),
    "halving 1, 3, 6, then as ratelab": partial(halving, rule=ours, first=1, rounds=((4, 3), (2, 6))),
    "5 seeds, best mean": of_seeds(best_mean, 5),
    "5 seeds, as ratelab": of_seeds(ours, 5),
    "3, best 3 rates to 8, as ratelab": partial(halving, rule=ours, first=3, rounds=((3, 8),)),
}


def simulate(rng: np.random.Generator, kind: str, seeds: int) -> Numbers:
    """Return the accuracies [rates, seeds] of a schedule: a best rate, and a cliff near or behind it."""
    x, shape = np.log10(SIMULATED), (len(SIMULATED), seeds)
    best, curvature, power = rng.uniform(-2, 1), rng.uniform(0.002, 0.03), rng.uniform(1, 2)
    beyond = x - best - rng.uniform(-0.25, 1.0)  # the cliff, in decades
    noise = 0.0014 * (rng.normal(size=seeds) + rng.normal(size=shape))
    values = 0.92 - curvature * np.abs(x - best)[:, None] ** power + noise
    if kind in ("spread", "spread, fails"):
        values -= np.clip(beyond / 0.5, 0, None)[:, None] * rng.gamma(1.0, 0.01, size=shape)
    share = 1 / (1 + np.exp(-(beyond - 0.25) / (0.02 if kind == "all diverge" else 0.15)))
    failed = rng.uniform(size=shape) < share[:, None]
    if kind in ("fails", "spread, fails"):
        values = np.where(failed, values - rng.exponential(0.1, size=shape), values)
    elif kind in ("some diverge", "all diverge"):
        values = np.where(failed, 0.0, values)
    return np.clip(values, 0, 1)


KINDS = ("quiet", "spread", "fails", "spread, fails", "some diverge", "all diverge")


def train(epochs: int, seeds: int) -> dict[str, Numbers]:
    """Return the accuracies [rates, seeds] of each schedule, from a sweep of its own."""
    schedules, rates = REAL[epochs]
    words = [f"schedule={','.join(schedules)}", f"learning_rate={','.join(map(str, rates))}"]
    words += [f"seed=range(1000,{1000 + seeds})", f"epochs={epochs}", "test=false"]
    [figure] = [one for one in ratelab.sweep(words, tracking="none").plot() if one.slug == "base-rates"]
    rows = [*csv.DictReader(figure.tables["base-rates"].splitlines())]
    by_name = {name: [float(row["accuracy"]) for row in rows if row["group"] == name] for name in schedules}
    return {name: np.reshape(values, (len(rates), seeds)) for name, values in by_name.items()}


def draw_real(values: Numbers, sweeps: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the values of a small sweep, and the truth from the seeds that are not in it."""
    rng = np.random.default_rng(0)
    for _ in range(sweeps):
        order = rng.permutation(values.shape[1])
        held = order[MOST_SEEDS:] if len(order) > 2 * MOST_SEEDS else order
        yield values[:, order[:MOST_SEEDS]], values[:, held].mean(1)


def draw_simulated(kind: str, sweeps: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the values of a small sweep on a curve of its own, and the truth from 4,000 seeds."""
    rng = np.random.default_rng(0)
    for _ in range(sweeps):
        values = simulate(rng, kind, 4000)
        yield values[:, :MOST_SEEDS], values[:, MOST_SEEDS:].mean(1)


class Losses:
    """What each rule loses in each setting, and what the note of an uncertain choice tells."""

    def __init__(self) -> None:
        self.lost: dict[str, dict[str, list[float]]] = {name: {} for name in RULES}
        self.notes: dict[str, list[tuple[bool, bool, float]]] = {}

    def add(self, setting: str, values: Numbers, truth: Numbers) -> None:
        """Let every rule choose in one sweep."""
        short = truth.max() - truth
        for name, rule in RULES.items():
            self.lost[name].setdefault(setting, []).append(float(short[rule(values)]))
        grid = tuned(values[:, :SEEDS])
        named = grid.rates[int(truth.argmax())] in grid.as_good
        noted = (len(grid.as_good) > 1, named, float(short[grid.place]))
        self.notes.setdefault(setting, []).append(noted)

    def print(self, title: str) -> None:
        """Print the mean that each rule loses, in brackets the 99th percentile, and the notes."""
        table = Table(title=f"{title}: lost by the choice, 0.0001 of accuracy: mean (99th percentile)")
        settings = [*self.notes]
        for heading in ("rule", *settings, "mean of all"):
            table.add_column(heading, justify="left" if heading == "rule" else "right")
        for name, by_setting in self.lost.items():
            means = [1e4 * float(np.mean(by_setting[one])) for one in settings]
            tails = [1e4 * float(np.quantile(by_setting[one], 0.99)) for one in settings]
            cells = [f"{mean:.1f} ({tail:.0f})" for mean, tail in zip(means, tails, strict=True)]
            table.add_row(name, *cells, f"{np.mean(means):.1f}", end_section=name == [*EQUAL][-1])
        CONSOLE.print(table)
        notes = Table(title="The note that the choice is uncertain")
        for heading in ("setting", "sweeps with it", "best rate named", "lost with", "lost without"):
            notes.add_column(heading, justify="left" if heading == "setting" else "right")
        for one, told in self.notes.items():
            noted = np.array(told, float)
            by = [noted[noted[:, 0] == flag, 2] for flag in (1, 0)]
            lost = [f"{1e4 * own.mean():.1f}" if len(own) else "-" for own in by]
            notes.add_row(one, f"{noted[:, 0].mean():.2f}", f"{noted[:, 1].mean():.2f}", *lost)
        CONSOLE.print(notes)


def try_real(seeds: int, sweeps: int) -> None:
    """Train, let every rule choose, print the grids and what the rules lose."""
    real = Losses()
    for epochs, (_, rates) in REAL.items():
        table = Table(title=f"{epochs} epochs: mean, sd and worst of {seeds} seeds")
        for heading in ("schedule", *map(str, rates)):
            table.add_column(heading)
        for name, values in train(epochs, seeds).items():
            cells = [f"{own.mean():.4f} {own.std(ddof=1):.4f} {own.min():.3f}" for own in values]
            table.add_row(name, *cells)
            for drawn, truth in draw_real(values, sweeps):
                real.add(f"{epochs}, {name}", drawn, truth)
        CONSOLE.print(table)
    real.print("Real sweeps (epochs, schedule)")


@click.command()
@click.option("--only", type=click.Choice(["real", "simulated"]), help="Of the two.")
@click.option(
    "--real-seeds", default=30, show_default=True, help="Of each schedule at each rate; 17 or more."
)
@click.option("--sweeps", default=1000, show_default=True, help="Of each setting.")
def main(only: str | None, real_seeds: int, sweeps: int) -> None:
    """Train or simulate, let every rule choose, print what it loses."""
    if only != "simulated":
        try_real(real_seeds, sweeps)
    if only != "real":
        simulated = Losses()
        for kind in KINDS:
            for drawn, truth in draw_simulated(kind, sweeps):
                simulated.add(kind, drawn, truth)
        simulated.print("Simulated sweeps")


if __name__ == "__main__":
    main()
