"""Do the intervals cover the truth as often as they say, and do the tests err as rarely? By simulation.

    python benchmarks/calibration.py            # the table of docs/protocol.md
    python benchmarks/calibration.py --comparisons 200

Every comparison is made by `ratelab.comparison`, as `ratelab compare` makes it, on accuracies that are drawn
with a known difference. What a seed does to both schedules is half of the variance, as in real sweeps.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ratelab.comparison import Result, compare
from ratelab.comparison.statistics import difference_interval, mean_interval

Numbers = np.ndarray
Draw = Callable[[np.random.Generator, int], Numbers]

SIZES = (6, 10, 20)
SPREAD = 0.002  # of the noise of one schedule, about that of the tutorial's runs
SCHEDULES = 6
CONSOLE = Console(width=110)


@dataclass(frozen=True)
class Noise:
    """What is left of a difference when the truth is taken away: mean 0, standard deviation 1."""

    name: str
    draw: Draw


def gamma(rng: np.random.Generator, n: int, shape: float = 2.0) -> Numbers:
    """Return skewed noise: a few runs that are much worse, as diverging ones are."""
    return (shape - rng.gamma(shape, size=n)) / math.sqrt(shape)


def lognormal(rng: np.random.Generator, n: int, sigma: float) -> Numbers:
    """Return noise with a long tail, its mean 0 and its deviation 1."""
    mean, square = math.exp(sigma**2 / 2), math.exp(sigma**2)
    return (mean - rng.lognormal(sigma=sigma, size=n)) / (mean * math.sqrt(square - 1))


NOISES = [
    Noise("normal", lambda rng, n: rng.normal(size=n)),
    Noise("skewed (gamma, shape 2)", gamma),
    Noise("skewed (exponential)", lambda rng, n: gamma(rng, n, 1.0)),
    Noise("skewed (lognormal, sigma 0.5)", lambda rng, n: lognormal(rng, n, 0.5)),
    Noise("long tail (lognormal, sigma 1)", lambda rng, n: lognormal(rng, n, 1.0)),
]


def accuracies(rng: np.random.Generator, n: int, noise: Noise, gain: float = 0.0) -> tuple[Numbers, Numbers]:
    """Return the accuracies of two schedules over n seeds in ten-thousandths; the first is better by gain.

    The noise of the first is that of the kind, on top of what the seed does to both; the second has normal
    noise of a third of the size, so that the difference is as skewed as the first.
    """
    seed = rng.normal(size=n)
    first = 0.9 + gain + SPREAD * (noise.draw(rng, n) + seed)
    second = 0.9 + SPREAD * (rng.normal(size=n) / 3 + seed)
    return np.round(first, 4), np.round(second, 4)


def coverage(n: int, noise: Noise, comparisons: int) -> tuple[float, float]:
    """Return how often the intervals of the paired difference and of the mean held the truth."""
    rng = np.random.default_rng([n, comparisons])
    held = np.zeros(2)
    for _ in range(comparisons):
        first, second = accuracies(rng, n, noise)
        difference, mean = difference_interval(np.round(first - second, 12)), mean_interval(first)
        held += [difference.holds(0.0), mean.holds(0.9)]
    return tuple(held / comparisons)


def results(values: Numbers) -> Iterator[Result]:
    """Yield finished runs with the accuracies float[schedules, seeds]."""
    for place, row in enumerate(values):
        for seed, accuracy in enumerate(row.tolist()):
            yield Result(seed, {"schedule": f"s{place}"}, status="finished", test={"accuracy": accuracy})


def false_alarms(n: int, noise: Noise, comparisons: int) -> float:
    """Return how often at least one of the 15 pairs of six equal schedules was called different."""
    rng = np.random.default_rng([n, comparisons, 1])
    wrong = 0
    for _ in range(comparisons):
        seed = rng.normal(size=n)
        rows = [0.9 + SPREAD * (noise.draw(rng, n) + seed) for _ in range(SCHEDULES)]
        pairs = compare(list(results(np.round(rows, 4)))).pairs
        wrong += any(pair.verdict in {"better", "worse"} for pair in pairs)
    return wrong / comparisons


def power(n: int, gain: float, comparisons: int) -> float:
    """Return how often a difference of `gain` standard deviations was called better: a pair, normal noise."""
    rng = np.random.default_rng([n, comparisons, 2])
    found = 0
    for _ in range(comparisons):
        first, second = accuracies(rng, n, NOISES[0], gain * SPREAD * math.sqrt(1 + 1 / 9))
        [pair] = compare(list(results(np.stack([second, first])))).pairs
        found += pair.verdict == "better"
    return found / comparisons


def error(share: float, number: int) -> float:
    """Return the standard error of a share."""
    return math.sqrt(max(share * (1 - share), 1e-4) / number)


def coverage_table(comparisons: int) -> Table:
    """Return the coverage for each kind of noise and number of seeds."""
    table = Table(title=f"Of {comparisons} comparisons, the 95 % interval held the truth: per cent")
    table.add_column("noise")
    for n in SIZES:
        table.add_column(f"difference, n = {n}", justify="right")
    for n in SIZES:
        table.add_column(f"mean (BCa), n = {n}", justify="right")
    for noise in track(NOISES, "coverage", console=CONSOLE, transient=True):
        found = [coverage(n, noise, comparisons) for n in SIZES]
        warned = [f"{100 * d:.1f}{'' if 0.93 <= d <= 0.97 else ' !'}" for d, _ in found]
        table.add_row(noise.name, *warned, *(f"{100 * m:.1f}" for _, m in found))
    table.caption = (
        f"Simulation error +-{100 * error(0.95, comparisons):.1f} (one standard error). !: outside 93 to 97."
    )
    return table


def alarm_table(comparisons: int) -> Table:
    """Return how often equal schedules are called different."""
    table = Table(title=f"Six equal schedules: of {comparisons} sweeps, those with any pair called different")
    table.add_column("noise")
    for n in (10, 20):
        table.add_column(f"n = {n}, per cent", justify="right")
    for noise in track(NOISES[:2], "false alarms", console=CONSOLE, transient=True):
        shares = [false_alarms(n, noise, comparisons) for n in (10, 20)]
        table.add_row(noise.name, *(f"{100 * s:.1f} +- {100 * error(s, comparisons):.1f}" for s in shares))
    return table


def power_table(comparisons: int) -> Table:
    """Return how often a real difference is found."""
    gains = (0.25, 0.5, 1.0, 1.5, 2.0)
    table = Table(
        title=f"Of {comparisons} comparisons of two, those in which the better one was called better"
    )
    table.add_column("seeds")
    for gain in gains:
        table.add_column(f"{gain:g} sd, per cent", justify="right")
    for n in track(SIZES, "power", console=CONSOLE, transient=True):
        table.add_row(f"{n}", *(f"{100 * power(n, gain, comparisons):.0f}" for gain in gains))
    table.caption = "sd: the standard deviation of the paired differences"
    return table


@click.command()
@click.option("--comparisons", default=2000, show_default=True, help="Simulated for each number.")
def main(comparisons: int) -> None:
    """Print the three tables."""
    for table in (coverage_table, alarm_table, power_table):
        CONSOLE.print(table(comparisons))


if __name__ == "__main__":
    main()
