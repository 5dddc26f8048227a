"""Train under learning-rate schedules: python src/train.py -m schedule=fixed,exponential (see --help)."""

from ratelab.runtime.starting import prepare_to_import

if __name__ == "__main__":
    prepare_to_import()  # the imports below take half a second

import sys
from collections.abc import Callable

import hydra
from omegaconf import DictConfig

from ratelab.config import read_words, register_resolvers
from ratelab.config.hydra_internals import put_options_first
from ratelab.config.suggestions import suggest_at_exit
from ratelab.runtime.outlets import outlive_readers
from ratelab.runtime.signals import plain_endings

register_resolvers()


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(cfg: DictConfig, run: Callable[[DictConfig], object] | None = None) -> object:
    """Do one run. In a sweep the launcher gives `run`, which waits for the worker that trains it."""
    from ratelab.runs.single import run_single  # --help and a misspelt key need not wait for it

    return (run or run_single)(cfg)


if __name__ == "__main__":
    outlive_readers()
    with plain_endings(), suggest_at_exit():
        sys.argv[1:] = put_options_first(read_words(sys.argv[1:]))
        main()
