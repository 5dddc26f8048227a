"""The folders of runs, looked at before Hydra makes them."""

import os
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ratelab.validation import UserError

LONGEST_NAME = 255  # bytes, on every usual file system


def check_folder(hydra: Any) -> None:
    """Raise UserError if the folder of a job is one that cannot be made, or is not where it seems to be.

    Args:
        hydra: Hydra's own part of the configuration of the job.
    """
    in_sweep = not OmegaConf.is_missing(hydra.job, "num")
    for key in ("sweep.dir", "sweep.subdir") if in_sweep else ("run.dir",):
        _check_name(f"hydra.{key}", str(OmegaConf.select(hydra, key)))


def _check_name(key: str, folder: str) -> None:
    if folder.startswith("~"):  # Hydra would make a folder of that name
        raise UserError(f"{key}: ~ is not expanded here; give the whole path, got {folder!r}.")
    for name in Path(folder).parts:
        size = len(os.fsencode(name))
        if size > LONGEST_NAME:
            raise UserError(
                f"{key}: a folder's name may have {LONGEST_NAME} bytes, not {size}: {name[:40]}... Name it "
                "${hydra.job.num}, or leave long keys out by hydra.job.config.override_dirname.exclude_keys."
            )
