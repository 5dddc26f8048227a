"""Train under learning-rate schedules: python src/train.py -m schedule=fixed,exponential (see --help)."""

import hydra
from omegaconf import DictConfig

from ratelab.config import register_resolvers
from ratelab.runtime.signals import plain_endings

register_resolvers()


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(cfg: DictConfig) -> object:
    """Do one run; with `-m`, the launcher calls this once for each job of the sweep."""
    from ratelab.runs import single  # --help and a misspelt key need not wait for it

    return single.run(cfg)


if __name__ == "__main__":
    with plain_endings():
        main()
