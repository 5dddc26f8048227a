"""Do the intervals cover the truth as often as they say, and do the tests err as rarely? By simulation.

    python benchmarks/calibration.py            # the tables of docs/protocol.md; an hour
    python benchmarks/calibration.py --comparisons 200
    python benchmarks/calibration.py --only deciding

Every comparison is made by `ratelab.comparison`, as `ratelab compare` makes it, on accuracies that are drawn
with a known difference. What a seed does to both schedules is half of the variance, as in real sweeps.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ratelab.comparison import Result, compare
from ratelab.comparison.deciding import Decision, decide
from ratelab.comparison.plans import Plan
from ratelab.comparison.power import find_power, find_seeds
from ratelab.comparison.sequential import Looks, list_looks
from ratelab.comparison.statistics import holm, mean_interval, sign_flip_test, sign_flip_tests

Numbers = np.ndarray
Draw = Callable[[np.random.Generator, int], Numbers]

SIZES = (6, 10, 20)
SPREAD = 0.002  # of the noise of one schedule, about that of the tutorial's runs
SCHEDULES = 6
MOST = 60  # seeds
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


def normal(rng: np.random.Generator, n: int) -> Numbers:
    """Return normal noise."""
    return rng.normal(size=n)


NOISES = [
    Noise("normal", normal),
    Noise("skewed (gamma, shape 2)", gamma),
    Noise("skewed (exponential)", partial(gamma, shape=1.0)),
    Noise("skewed (lognormal, sigma 0.5)", partial(lognormal, sigma=0.5)),
    Noise("long tail (lognormal, sigma 1)", partial(lognormal, sigma=1.0)),
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
        intervals = mean_interval(np.round(first - second, 12)), mean_interval(first)
        held += [interval.holds(truth) for interval, truth in zip(intervals, (0.0, 0.9), strict=True)]
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
        table.add_column(f"mean, n = {n}", justify="right")
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


def draw_groups(rng: np.random.Generator, gains: Sequence[float], noises: Sequence[Noise]) -> Numbers:
    """Return float[groups, seeds]: groups that are better by so many sd of a paired difference."""
    seed = rng.normal(size=MOST)
    rows = [one.draw(rng, MOST) + seed + math.sqrt(2) * gain for gain, one in zip(gains, noises, strict=True)]
    return np.array(rows)


def decide_groups(values: Numbers, matters: float | None) -> dict[tuple[int, int], Decision]:
    """Return what is decided of each pair of groups; `matters` is in sd of a paired difference."""
    plan = Plan(planned=MOST, most=MOST, matters=matters and matters * math.sqrt(2), question="all")
    which = list(itertools.combinations(range(len(values)), 2))
    pairs = [dict(enumerate((values[second] - values[first]).tolist())) for first, second in which]
    return dict(zip(which, decide(pairs, range(MOST), plan), strict=True))


@dataclass(frozen=True)
class Case:
    """Groups to be decided, simulated so many times.

    Attributes:
        name: of the case.
        gains: how much better each group is, in sd of a paired difference.
        noise: of the first group.
        others: of the others; None: the same.
        matters: the smallest difference that matters, in the same unit.
    """

    name: str
    gains: tuple[float, ...]
    noise: Noise = NOISES[0]
    others: Noise | None = None
    matters: float | None = None

    def simulate(self, number: int) -> dict[str, float]:
        """Return what was decided in one sweep, rightly and wrongly, and how many seeds it took."""
        rng = np.random.default_rng([number, len(self.gains), round(1000 * sum(self.gains))])
        others = self.others or self.noise
        values = draw_groups(rng, self.gains, [self.noise, *[others] * (len(self.gains) - 1)])
        found = decide_groups(values, self.matters)
        truth = {(a, b): self.gains[b] - self.gains[a] for a, b in found}
        real = [place for place, gain in truth.items() if gain]
        seeds = [
            max(one.looks[-1] for place, one in found.items() if group in place)
            for group in range(len(values))
        ]
        first = found[0, 1]
        interval = Looks(values[1] - values[0], first.looks, MOST).interval()
        return {
            "different": any(
                found[place].verdict == "different" for place, gain in truth.items() if not gain
            ),
            "equal": any(
                found[place].verdict == "equal"
                for place, gain in truth.items()
                if self.matters is not None and abs(gain) >= self.matters - 1e-9
            ),
            "shown": sum(found[place].verdict == "different" for place in real) / max(len(real), 1),
            "seeds": sum(seeds) / len(seeds),
            "holds": interval.holds(math.sqrt(2) * truth[0, 1]),
            "equals": found[0, 1].verdict == "equal",
        }


CASES = [
    *(Case(f"{n} equal, {noise.name}", (0.0,) * n, noise) for n in (2, 4, 6) for noise in NOISES[:3]),
    *(Case(f"2 equal, one {noise.name}", (0.0, 0.0), noise, NOISES[0]) for noise in NOISES[1:3]),
    Case("2 equal, 0.5 sd matters", (0.0, 0.0), matters=0.5),
    Case("2 at the margin, 0.5 sd", (0.0, 0.5), matters=0.5),
    Case("2 at the margin, 0.5 sd, skewed", (0.0, 0.5), NOISES[1], NOISES[0], matters=0.5),
    Case("4, two by 0.5 sd, the margin, better", (0.0, 0.0, 0.5, 0.5), matters=0.5),
    Case("6, three by 0.5 sd, the margin, better", (0.0,) * 3 + (0.5,) * 3, matters=0.5),
    *(Case(f"2, one better by {gain:g} sd", (0.0, gain)) for gain in (0.5, 1.0, 2.0)),
    *(Case(f"4, one better by {gain:g} sd", (0.0, 0.0, 0.0, gain)) for gain in (0.5, 1.0, 2.0)),
]


def deciding_table(comparisons: int) -> Table:
    """Return what is decided wrongly, how often, and how many seeds it takes."""
    table = Table(
        title=f"Seeds added until all is decided, {MOST} at most: of {comparisons} sweeps, per cent"
    )
    table.add_column("groups")
    heads = (
        "called different",
        "called equal at the margin",
        "interval held at the stop",
        "shown",
        "seeds a group",
    )
    for head in heads:
        table.add_column(head, justify="right")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for case in track(CASES, "deciding", console=CONSOLE, transient=True):
            found = list(pool.map(case.simulate, range(comparisons), chunksize=25))
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            table.add_row(
                case.name,
                write_share(mean["different"], comparisons)
                if len(set(case.gains)) < len(case.gains)
                else "-",
                write_share(mean["equal"], comparisons) if case.matters and len(set(case.gains)) > 1 else "-",
                f"{100 * mean['holds']:.1f}",
                f"{100 * mean['shown']:.0f}" if len(set(case.gains)) > 1 else "-",
                f"{mean['seeds']:.1f}",
            )
    table.caption = "sd: of a paired difference. Shown: of the pairs that differ, those called different."
    return table


def fixed_table(comparisons: int) -> Table:
    """Return the power of a fixed number of seeds: the sign-flip test, one pair, normal noise."""
    sizes = (8, 10, 12, 15, 20, 25, 31, 40, 50)
    table = Table(title=f"A fixed number of seeds, one pair: of {comparisons} comparisons, called different")
    table.add_column("difference")
    for n in sizes:
        table.add_column(f"{n}", justify="right")
    rng = np.random.default_rng(comparisons)
    for gain in (0.5, 1.0, 2.0):
        draws = [[rng.normal(gain, 1, n) for _ in range(comparisons)] for n in sizes]
        shown = [np.mean([sign_flip_test(one) <= 0.05 for one in own]) for own in draws]
        table.add_row(f"{gain:g} sd", *(f"{100 * share:.0f}" for share in shown))
    return table


def stop_by_signs(differences: Numbers) -> tuple[bool, int]:
    """Return whether our test shows a difference at one of the looks, and the seeds it took."""
    looks = list_looks(MOST, MOST)
    place = Looks(differences, looks, MOST).find_crossing(0.05)
    return place is not None, MOST if place is None else looks[place]


def stop_by_bets(differences: Numbers) -> tuple[bool, int]:
    """Return the same of the anytime-valid t-test: a bet on effects of N(0, 1) wins twentyfold.

    After n differences the bet is worth sqrt(1 / (n + 1)) (1 - S^2 / ((n + 1) V))^(-n / 2), where S is their
    sum and V that of their squares (Wang & Ramdas 2023, arXiv 2310.03722; Hendriksen et al. 2021).
    """
    n = np.arange(1, MOST + 1)
    total, squares = np.cumsum(differences), np.cumsum(differences**2)
    worth = -np.log(n + 1) / 2 - n / 2 * np.log1p(-(total**2) / ((n + 1) * squares))
    return next(((True, k) for k in list_looks(MOST, MOST) if worth[k - 1] >= math.log(20)), (False, MOST))


METHODS = {"sign flips, level spent": stop_by_signs, "anytime-valid t-test": stop_by_bets}


def method_table(comparisons: int) -> Table:
    """Return what two methods show of one pair, and how many seeds each takes."""
    table = Table(
        title=f"Two methods, one pair, {MOST} seeds at most: of {comparisons} sweeps, called different"
    )
    table.add_column("difference")
    for name in METHODS:
        table.add_column(f"{name}, per cent", justify="right")
        table.add_column("seeds", justify="right")
    cases = [(noise, 0.0) for noise in NOISES[:3]] + [(NOISES[0], gain) for gain in (0.5, 1.0, 2.0)]
    for place, (noise, gain) in enumerate(track(cases, "methods", console=CONSOLE, transient=True)):
        rng = np.random.default_rng([comparisons, place])
        draws = [np.diff(draw_groups(rng, (0.0, gain), [noise] * 2), axis=0)[0] for _ in range(comparisons)]
        found = [np.array([method(one) for one in draws]).mean(0) for method in METHODS.values()]
        cells = [text for shown, seeds in found for text in (write_share(shown, comparisons), f"{seeds:.1f}")]
        table.add_row(f"{gain:g} sd, {noise.name}", *cells)
    return table


@dataclass(frozen=True)
class Pilot:
    """A pilot from which `ratelab plan` counts seeds, and a sweep of so many, simulated so many times.

    One group differs from all others. Its noise is of the kind, theirs normal and a third of it, so that the
    differences are as skewed as the first; what a seed does to all cancels, and is left out.

    Attributes:
        groups: how many.
        noise: of the one that differs.
        seeds: of the pilot.
        gain: by how much it differs, in sd of a paired difference, which is the difference that is planned.
        wanted: power.
    """

    groups: int
    noise: Noise
    seeds: int
    gain: float = 1.0
    wanted: float = 0.8

    def draw(self, rng: np.random.Generator, seeds: int, gain: float = 0.0) -> Numbers:
        """Return float[pairs, seeds], the paired differences; first the one that was planned."""
        others = rng.normal(size=(self.groups - 1, seeds)) / 3
        values = np.stack([self.noise.draw(rng, seeds) + math.sqrt(1 + 1 / 9) * gain, *others])
        return np.array([values[a] - values[b] for a, b in itertools.combinations(range(self.groups), 2)])

    def simulate(self, number: int) -> dict[str, float]:
        """Return how many seeds a pilot asks for, and what these show."""
        rng = np.random.default_rng([number, self.groups, self.seeds, round(100 * self.wanted)])
        pilot, tests = self.draw(rng, self.seeds), math.comb(self.groups, 2)
        ratio = math.sqrt(1 + 1 / 9) * self.gain / float(np.std(pilot[0], ddof=1))
        seeds = find_seeds(self.wanted, ratio, tests, self.seeds)
        assert seeds is not None
        fresh, equal = self.draw(rng, seeds, self.gain), self.draw(rng, seeds)
        # without a difference: of those who count the pilot's seeds among them
        kept = np.concatenate([pilot[0], equal[0]])[:seeds]
        *p, p_kept = sign_flip_tests([*fresh, kept]).tolist()
        is_apart = p[0] <= 0.05 and not mean_interval(fresh[0]).holds(0.0)
        is_false = p_kept <= 0.05 / tests and not mean_interval(kept).holds(0.0)
        return {
            "seeds": seeds,
            "predicted": find_power(seeds, ratio, tests, self.seeds),
            "first": p[0] <= 0.05 / tests and is_apart,
            "shown": holm(p)[0] <= 0.05 and is_apart,
            "false": is_false,
        }


PILOTS = [
    *(Pilot(2, NOISES[0], seeds) for seeds in (3, 6, 12)),
    *(Pilot(2, NOISES[0], 6, gain) for gain in (0.5, 2.0)),
    Pilot(2, NOISES[0], 6, wanted=0.95),
    *(Pilot(2, noise, 6) for noise in NOISES[1:3]),
    Pilot(2, NOISES[1], 6, wanted=0.95),
    *(Pilot(4, noise, 6) for noise in NOISES[:2]),
    Pilot(4, NOISES[0], 6, wanted=0.95),
]


def plan_table(comparisons: int) -> Table:
    """Return with which chance the seeds that a pilot asks for show the difference."""
    table = Table(
        title=f"The seeds that `ratelab plan` asks for: of {comparisons} pilots and sweeps, per cent"
    )
    heads = ("pilot", "sd", "wanted", "seeds (tenth to 90th)", "predicted", "shown at the first step")
    table.add_column("groups")
    for head in (*heads, "after Holm", "equal, pilot kept: different"):
        table.add_column(head, justify="right")
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for case in track(PILOTS, "plan", console=CONSOLE, transient=True):
            found = list(pool.map(case.simulate, range(comparisons), chunksize=25))
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            low, middle, high = np.quantile([one["seeds"] for one in found], (0.1, 0.5, 0.9), method="lower")
            table.add_row(
                f"{case.groups}, {case.noise.name}",
                f"{case.seeds}",
                f"{case.gain:g}",
                f"{100 * case.wanted:.0f}",
                f"{middle} ({low}-{high})",
                f"{100 * mean['predicted']:.1f}",
                write_share(mean["first"], comparisons),
                write_share(mean["shown"], comparisons),
                write_share(mean["false"], comparisons),
            )
    return table


def write_share(share: float, number: int) -> str:
    """Return a share in per cent with its standard error."""
    return f"{100 * share:.1f} +- {100 * error(share, number):.1f}"


TABLES = {
    "coverage": coverage_table,
    "alarms": alarm_table,
    "power": power_table,
    "deciding": deciding_table,
    "fixed": fixed_table,
    "methods": method_table,
    "plan": plan_table,
}


@click.command()
@click.option("--comparisons", default=2000, show_default=True, help="Simulated for each number.")
@click.option("--only", type=click.Choice([*TABLES]), help="This table alone.")
def main(comparisons: int, only: str | None) -> None:
    """Print the tables."""
    for name, table in TABLES.items():
        if only in {None, name}:
            CONSOLE.print(table(comparisons))


if __name__ == "__main__":
    main()
