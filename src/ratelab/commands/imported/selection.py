"""Which results of other programs are meant: the options of `ratelab compare`, checked and answered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratelab.commands.imported.files import read_file
from ratelab.commands.imported.logged import Question, read_logged
from ratelab.comparison import Study
from ratelab.tracking import find_store
from ratelab.tracking.links import STORE
from ratelab.validation import UserError

_NEEDED = {"experiment": "--experiment", "group_by": "--group-by", "seed": "--seed", "metric": "--metric"}
_OURS = {"run_ids": "RUN_ID", "sweep_id": "--sweep", "by": "--by", "target": "--target"}
_OF_STORES = {"uri": "--uri", "experiment": "--experiment", "group_by": "--group-by", "seed": "--seed"}


def read_imported(options: Mapping[str, Any]) -> Study:
    """Return what results say that are not ours.

    Args:
        options: those of `ratelab compare` that say what is compared.

    Raises:
        UserError: they do not go together, or the results cannot be compared.
    """
    asked = {"higher": options["higher"], "baseline": options["baseline"]}
    if options["from"] is not None:
        _refuse_others("--from", {**_OURS, **_OF_STORES}, options)
        return read_file(options["from"], options["metric"], **asked)
    lacking = [name for key, name in _NEEDED.items() if not options[key]]
    if lacking:
        raise UserError(
            "results of other programs are compared by --from FILE, or by --experiment, --group-by, --seed "
            f"and --metric; not given: {', '.join(lacking)}."
        )
    _refuse_others("--group-by", _OURS, options)
    keys = options["group_by"].split(",")
    question = Question(options["experiment"], keys, options["seed"], options["metric"])
    return read_logged(find_store(options["uri"], Path.cwd()), question, **asked)


def _refuse_others(option: str, others: Mapping[str, str], options: Mapping[str, Any]) -> None:
    """Raise UserError if one of the others is given beside an option, too."""
    given = [name for key, name in others.items() if options[key] not in (None, (), STORE)]
    if given:
        raise UserError(f"{option} does not go together with {', '.join(given)}; leave one of them out.")
