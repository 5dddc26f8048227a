"""Hydra in this process, for a call from Python; after it all is as it was before."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from ratelab.api.display import Kept
from ratelab.api.objects import Given
from ratelab.config.command_line import read_words
from ratelab.config.composing import start_hydra
from ratelab.config.search_path import SCHEME
from ratelab.runs.job_of import forget_earlier_calls
from ratelab.runtime.lost_metrics import told_at_the_end
from ratelab.runtime.provenance import called_from_python
from ratelab.runtime.signals import interruptible
from ratelab.validation import UserError


def call_hydra(given: Given, display: Kept, config_dir: str | None, config_name: str, *, many: bool) -> None:
    """Run what was given; the display keeps what that gave.

    Args:
        given: overrides, and options that are no files.
        display: shows it.
        config_dir: as `--config-dir`.
        config_name: as `--config-name`.
        many: a sweep.

    Raises:
        UserError: for a mistake, for a job that failed by one, where the store lacks metrics of a run, and
            while another call goes on.
        KeyboardInterrupt: it was interrupted.
    """
    words = read_words(given.words)
    command = f"ratelab.{'sweep' if many else 'run'} {' '.join(words)}"
    with (
        called_from_python(command),
        interruptible(),
        told_at_the_end(),
        _kept_logging(),
        _extra_options(given.options),
        _exits_raised(),
        warnings.catch_warnings(),
        start_hydra(config_dir) as loader,
    ):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None  # noqa: S101 - it was started
        task = _Task(display)
        # of tqdm in a notebook, which MLflow imports and shows nothing with
        warnings.filterwarnings("ignore", "IProgress not found")
        forget_earlier_calls()  # files and functions may be others than at the last call
        _refuse_taken(loader, given.options)
        _check_words(loader, words, many=many)
        if many:
            hydra.multirun(config_name, task, words)
        else:
            hydra.run(config_name, task, words)


def _check_words(loader: ConfigLoader, words: list[str], *, many: bool) -> None:
    """Raise UserError for words that are for another call, or for the command line."""
    for override in OverridesParser.create(config_loader=loader).parse_overrides(words):
        if override.is_sweep_override() and not many:
            raise UserError(
                f"{override.input_line}: one run takes one value; ratelab.sweep compares several."
            )
        if override.key_or_group == "hydra/sweeper" and override.value() not in {"basic", "ratelab"}:
            raise UserError(
                f"{override.input_line}: ratelab.sweep compares what it is given; what searches is for the "
                "command line, `ratelab train -m`."
            )


def _refuse_taken(loader: ConfigLoader, options: Mapping[str, object]) -> None:
    """Raise UserError for a function with the name of an option that is a file, which would come first."""
    files = [source for source in loader.get_sources() if source.scheme() == SCHEME]
    for path in options:
        for source in files:
            if source.is_config(path):
                raise UserError(
                    f"{path.replace('/', '=')}: {source.path} has an option of that name, and your function "
                    "is another one; give it a name of its own."
                )


class _Task:
    """What the function under `@hydra.main` is to a program; it says how runs are shown."""

    __name__ = "ratelab"

    def __init__(self, display: Kept | None) -> None:
        self.display = display

    def __call__(self, cfg: DictConfig, run: Any = None) -> object:
        """Do one run; in a sweep the launcher gives `run`."""
        if run is not None:
            return run(cfg)
        from ratelab.runs.single import forget_programs, run_single

        if cfg.allow_targets:
            forget_programs()
        result = run_single(cfg, self.display)
        if self.display is not None:
            self.display.result = result
        return result

    def __reduce__(self) -> Any:
        """Show it in the terminal in another process, such as a job of Slurm's."""
        return _Task, (None,)


@contextlib.contextmanager
def _exits_raised() -> Iterator[None]:
    """Raise what would end a program of ours: its message is that of a mistake."""
    try:
        yield
    except SystemExit as end:
        raise UserError(str(end.code)) from None


@contextlib.contextmanager
def _kept_logging() -> Iterator[None]:
    """Leave the logging of the process as it was: Hydra sets that of a job."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


@contextlib.contextmanager
def _extra_options(options: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Let groups have more options in the block, which are no files.

    Args:
        options: the keys of each, by its group and name, as "schedule/mine".
    """
    store = ConfigStore.instance()
    for path, keys in options.items():
        group, _, name = path.rpartition("/")
        store.store(name=name, group=group, node=dict(keys), provider="ratelab")
    try:
        yield
    finally:
        for path in options:
            group, _, name = path.rpartition("/")
            store.repo[group].pop(f"{name}.yaml", None)
