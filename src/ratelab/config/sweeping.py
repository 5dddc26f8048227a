"""The words of a sweep turned into those of its jobs; a word that would be passed over is refused."""

from collections import Counter
from collections.abc import Iterable, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString, Transformer

from ratelab.config.hydra_internals import split_overrides
from ratelab.validation import UserError

# The one is what the other is unless it is given: who gives both has one of them passed over.
SAME = {"data.validation_size": "validation_size"}
OF_SWEEPS = ("hydra.launcher", "hydra/launcher", "hydra.sweeper", "hydra/sweeper", "hydra.sweep.")


def override_key(override: str) -> str:
    """Return the key of an override.

    >>> override_key("+schedule.power=2")
    'schedule.power'
    """
    return override.lstrip("+~").partition("=")[0]


def split_jobs(loader: ConfigLoader, words: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a sweep: the product of all comma lists, ranges and globs.

    Args:
        loader: Hydra's, which knows the options that a glob may mean.
        words: the overrides of the sweep; of a key given twice, the last one counts.

    Raises:
        UserError: for a word without any value, or with the same value twice, and for an interval.
        HydraException: for a word that is no override.
    """
    refuse_empty(loader, words)
    for override in _find_sweeps(loader, words):
        _check_values(override)
    return split_overrides(loader, words)


def refuse_repeated(words: Iterable[str]) -> None:
    """Raise UserError if a key is given twice: Hydra takes the last one and passes the other over.

    >>> refuse_repeated(["seed=1", "epochs=2", "seed=2"])
    Traceback (most recent call last):
    ratelab.validation.UserError: seed is given twice, as 'seed=1' and 'seed=2'; give it once.
    """
    given: dict[str, str] = {}
    for word in words:
        key = override_key(word)
        name = SAME.get(key, key)
        if name in given:
            raise UserError(f"{name} is given twice, as {given[name]!r} and {word!r}; give it once.")
        given[name] = word


def refuse_without_sweep(words: Iterable[str]) -> None:
    """Raise UserError if a word is for sweeps: a single run never reads it.

    >>> refuse_without_sweep(["hydra.launcher.workers=2"])
    Traceback (most recent call last):
    ratelab.validation.UserError: hydra.launcher.workers=2 is for sweeps and this is a single run; add -m, ...
    """
    for word in words:
        if word.lstrip("+~").startswith(OF_SWEEPS):
            raise UserError(f"{word} is for sweeps and this is a single run; add -m, or leave it out.")


def refuse_empty(loader: ConfigLoader, words: Sequence[str]) -> None:
    """Raise UserError for a word of a sweep that gives no job, whichever sweeper will read it.

    Args:
        loader: Hydra's, which knows the options that a glob may mean.
        words: the overrides of the sweep.
    """
    for override in _find_sweeps(loader, words):
        if override.is_discrete_sweep() and next(override.sweep_string_iterator(), None) is None:
            raise UserError(f"{override.input_line} has no value, so there is nothing to run.")


def _find_sweeps(loader: ConfigLoader, words: Sequence[str]) -> list[Override]:
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    return [override for override in parsed if override.is_sweep_override()]


def _check_values(override: Override) -> None:
    """Refuse what is no list of values, or has one of them twice."""
    word = str(override.input_line)
    if not override.is_discrete_sweep():
        raise UserError(
            f"{word}: hydra/sweeper=ratelab tries values that are listed, as in learning_rate=0.01,0.1,1; an "
            "interval needs a sweeper that draws from it: pip install hydra-optuna-sweeper, "
            "hydra/sweeper=optuna."
        )
    if override.is_range_sweep():  # perhaps of a hundred million numbers, none of them twice
        return
    for value, times in Counter(map(_plain, override.sweep_iterator(Transformer.identity))).items():
        if times > 1:
            raise UserError(f"{word} has the value {value} {times} times: the same run again; give it once.")


def _plain(value: object) -> str:
    """Return a value as text that is the same with and without quotes around a word."""
    return repr(value.text if isinstance(value, QuotedString) else value)
