"""Where Hydra looks for configurations: into a folder of the user's before the project's own.

Hydra itself looks into `--config-dir` only for what the project does not have: a file of the user's with the
name of one of ours would be passed over.
"""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath, SearchPathElement

from ratelab.runtime.checkout import find_folder

CONF = find_folder("conf", "conf")
SCHEME = "ratelab"
OF_THE_USER = "command-line"  # Hydra's name of who has given `--config-dir`


def search_first(search_path: ConfigSearchPath) -> None:
    """Let Hydra read the project's files by `CheckedFiles`, and those of the user's folder before them.

    Args:
        search_path: of a program of ours; of another one nothing is changed.
    """
    path = search_path.get_path()
    if CONF not in map(_folder, path):
        return
    own = [one for one in path if one.provider == OF_THE_USER]
    others = [one for one in path if one not in own]
    place = next(number for number, one in enumerate(others) if _folder(one) == CONF)
    checked = [*own, others[place]]
    others[place : place + 1] = [
        SearchPathElement(one.provider, f"{SCHEME}://{str(one.path).rpartition('://')[2]}") for one in checked
    ]
    path[:] = others


def _folder(one: SearchPathElement) -> Path:
    return Path(str(one.path).rpartition("://")[2]).resolve()
