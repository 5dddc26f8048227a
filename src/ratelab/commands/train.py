"""Training: one run, or a sweep. `python src/train.py` and `ratelab train` are this program."""

import contextlib
import sys
from collections.abc import Callable

import hydra
from omegaconf import DictConfig

from ratelab.config import read_words, register_resolvers
from ratelab.config.hydra_internals import asks_only, put_options_first, refuse_missing_folder
from ratelab.config.search_path import CONF
from ratelab.config.suggestions import suggest_at_exit
from ratelab.runtime.outlets import answered, outlive_readers
from ratelab.runtime.signals import plain_endings

register_resolvers()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _train(cfg: DictConfig, run: Callable[[DictConfig], object] | None = None) -> object:
    """Do one run. In a sweep the launcher gives `run`, which waits for the worker that trains it."""
    from ratelab.runs.single import run_single  # --help and a misspelt key need not wait for it

    return (run or run_single)(cfg)


def main(*options: str) -> None:
    """Run the command line, as Hydra reads it; a mistake of the user's ends with one message and status 1.

    Args:
        options: what a program of the user's own gives in front of it, such as "--config-dir", "conf".
    """
    outlive_readers()
    with plain_endings(), suggest_at_exit():
        sys.argv[1:] = put_options_first(read_words([*options, *sys.argv[1:]]))
        refuse_missing_folder(sys.argv[1:])
        with answered() if asks_only(sys.argv[1:]) else contextlib.nullcontext():
            _train()
