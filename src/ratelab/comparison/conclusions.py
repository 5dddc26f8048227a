"""What a reader is told about the pairs: the sentence of each, but one for many that say the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratelab.comparison.pairs import Pair, Verdict, find_reference
from ratelab.comparison.sentences import describe_shortage
from ratelab.comparison.statistics import pairs_needed

# Of more pairs their number is said first, and those from which nothing follows share a sentence: a reader of
# twenty paragraphs that all say "too few seeds" finds no verdict among them.
MOST_WITH_OWN_SENTENCE = 6
COUNTED: dict[Verdict, str] = {
    "better": "better",
    "worse": "worse",
    "practically equal": "practically equal",
    "no difference shown": "with no difference shown",
    "open": "open",
    "no conclusion": "without a conclusion",
    "not compared": "not compared",
}


@dataclass(frozen=True)
class Conclusion:
    """A sentence, and the verdict that it gives; None for a sentence about all pairs."""

    verdict: Verdict | None
    sentence: str


def conclusions(pairs: Sequence[Pair]) -> list[Conclusion]:
    """Return what to say of the pairs, in their order.

    >>> names = ["cosine", "wsd", "rex", "cyclic", "staircase", "piecewise", "plateau"]
    >>> pairs = [Pair(one, "fixed", (0,), verdict="no conclusion", sentence=f"{one}: ...") for one in names]
    >>> print(*(one.sentence for one in conclusions(pairs[:2])))
    cosine: ... wsd: ...
    >>> print(*(one.sentence for one in conclusions(pairs)))
    7 groups against fixed: 7 without a conclusion. no conclusion is possible from one seed, in 7 pairs: ...
    """
    if len({pair.sentence for pair in pairs}) == 1:  # where no run reached a target it is that of all
        return [Conclusion(pairs[0].verdict, pairs[0].sentence)]
    if len(pairs) <= MOST_WITH_OWN_SENTENCE:
        return [Conclusion(pair.verdict, pair.sentence) for pair in pairs]
    found = [Conclusion(None, _tally(pairs))]
    undecided = [pair for pair in pairs if pair.verdict == "no conclusion"]
    for pair in pairs:
        alike = [other for other in undecided if len(other.seeds) == len(pair.seeds)]
        if pair not in undecided or len(alike) == 1:
            found.append(Conclusion(pair.verdict, pair.sentence))
        elif pair is alike[0]:  # the others are in its sentence
            found.append(Conclusion("no conclusion", _summarize(alike, pairs)))
    return found


def _tally(pairs: Sequence[Pair]) -> str:
    """Return a sentence that counts the verdicts."""
    verdicts = [pair.verdict for pair in pairs]
    counts = [f"{verdicts.count(one)} {words}" for one, words in COUNTED.items() if one in verdicts]
    reference = find_reference(pairs)
    what = f"{len(pairs)} groups against {reference}" if reference else f"{len(pairs)} pairs"
    return f"{what}: {', '.join(counts)}."


def _summarize(alike: Sequence[Pair], pairs: Sequence[Pair]) -> str:
    """Return one sentence for pairs with the same number of seeds, too few for a conclusion."""
    seeds, tests = len(alike[0].seeds), sum(pair.p is not None for pair in pairs)
    count = f"{seeds} seeds" if seeds > 1 else "one seed"
    head = f"no conclusion is possible from {count}, in {len(alike)} pairs"
    if seeds < 2:
        return f"{head}: more seeds are needed, at least {pairs_needed(1)}."
    return f"{head}: {describe_shortage(seeds, tests)}"
