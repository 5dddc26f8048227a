"""What is said of a pair, in a sentence."""

import numpy as np

from ratelab.comparison import statistics
from ratelab.comparison.pairs import Pair


def tell_one_seed(pair: Pair) -> str:
    """Say that nothing follows from one seed."""
    return (
        f"{pair.first} and {pair.second}: no conclusion is possible from one seed (seed {pair.seeds[0]}: "
        f"{_write(pair, pair.differences[0])}); more seeds are needed, at least {statistics.pairs_needed(1)}."
    )


def tell_difference(pair: Pair, verdict: str) -> str:
    """Say which of the two is better."""
    is_higher = (verdict == "better") == pair.outcome.higher_is_better
    alike = sum(d > 0 if is_higher else d < 0 for d in pair.differences)
    return (
        f"{pair.first} is {verdict} than {pair.second}: {_write_mean(pair)} ({_write_interval(pair)}), "
        f"{'higher' if is_higher else 'lower'} in {alike} of {len(pair.seeds)} seeds, "
        f"{_write_corrected(pair)}{_write_looks(pair)}."
    )


def tell_shortage(pair: Pair, tests: int) -> str:
    """Say that so few seeds, in that many pairs, could not have shown anything."""
    count = len(pair.seeds)
    return (
        f"{pair.first} and {pair.second}: no conclusion is possible from {count} seeds: {_write_mean(pair)}, "
        f"but {describe_shortage(count, tests)}"
    )


def describe_shortage(seeds: int, tests: int) -> str:
    """Return why so few seeds, in that many pairs, allow no conclusion, and how many would.

    >>> describe_shortage(5, 3)
    'the smallest p-value that they can give is 0.062, times 3 pairs; at least 7 seeds are needed.'
    """
    return (
        f"the smallest p-value that they can give is {write_p(statistics.smallest_p(seeds))}"
        f"{f', times {tests} pairs' if tests > 1 else ''}; "
        f"at least {statistics.pairs_needed(tests)} seeds are needed."
    )


def tell_no_difference(pair: Pair) -> str:
    """Say which differences the seeds leave possible."""
    assert pair.interval is not None  # noqa: S101 - there are six seeds at least
    largest = max(abs(pair.interval.low), abs(pair.interval.high))
    return (
        f"no difference shown between {pair.first} and {pair.second}: {_write_mean(pair)} "
        f"({_write_interval(pair)}), {_write_corrected(pair)}; differences up to "
        f"{pair.digits.write(largest)} are compatible with these {len(pair.seeds)} seeds."
    )


def tell_equality(pair: Pair) -> str:
    """Say that the two gave the same."""
    return (
        f"no difference shown between {pair.first} and {pair.second}: equal in all {len(pair.seeds)} seeds."
    )


def tell_practical_equality(pair: Pair, matters: float) -> str:
    """Say that the two differ by less than what matters."""
    return (
        f"{pair.first} and {pair.second} are practically equal: {_write_mean(pair)} "
        f"({_write_interval(pair)}, within +-{matters:g}){_write_looks(pair)}."
    )


def tell_open(pair: Pair) -> str:
    """Say that the two are not told apart yet."""
    return (
        f"open between {pair.first} and {pair.second}: {_write_mean(pair)} ({_write_interval(pair)}), "
        f"{_write_corrected(pair)}{_write_looks(pair)}."
    )


def _write_looks(pair: Pair) -> str:
    """Return after how many seeds it was so, where one looked more than once."""
    return f", after {pair.looks[-1]} seeds" if pair.looks else ""


def _write(pair: Pair, difference: float) -> str:
    return pair.digits.write(difference, "+")


def _write_mean(pair: Pair) -> str:
    assert pair.mean is not None  # noqa: S101 - as above
    return f"{pair.outcome.metric} {_write(pair, pair.mean)}"


def _write_interval(pair: Pair) -> str:
    assert pair.interval is not None  # noqa: S101 - as above
    return f"95 % interval {_write(pair, pair.interval.low)} to {_write(pair, pair.interval.high)}"


def _write_corrected(pair: Pair) -> str:
    assert pair.corrected is not None  # noqa: S101 - as above
    return f"p = {write_p(pair.corrected)} after Holm"


def write_p(value: float) -> str:
    """Return a probability for reading, in two digits.

    >>> write_p(0.04321), write_p(3e-5), write_p(1.0)
    ('0.043', '0.00003', '1')
    """
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")
