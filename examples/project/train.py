"""Train on your own problem: python train.py -m schedule=fixed,half_way seed='range(0,6)' (see --help)."""

from pathlib import Path

from ratelab.commands.train import main

if __name__ == "__main__":
    main("--config-dir", str(Path(__file__).parent / "conf"), "--config-name", "start")
