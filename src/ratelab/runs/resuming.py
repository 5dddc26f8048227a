"""Going on with what a journal holds: which folder is meant, and whether it is still the same program."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ratelab.config.schema import RESUMING
from ratelab.config.sweeping import override_key
from ratelab.runs import description
from ratelab.runs.journal import Journal
from ratelab.runs.past import NAME, Past, read_past
from ratelab.runs.planned import PlannedRun
from ratelab.runtime import provenance
from ratelab.runtime.home import expand_home
from ratelab.validation import UserError

_MOST_SHOWN = 5
_DEEPEST = 3  # folders between what Hydra's pattern begins with and a sweep's


def find_folder(config: DictConfig, mode: str) -> Path | None:
    """Return the folder of the run or sweep that is to go on; None if this is to be a new one.

    Args:
        config: as Hydra composed it, with its own part.
        mode: "run" or "sweep": which of Hydra's folders is meant.

    Raises:
        UserError: there is none, or nothing is left to do in it.
    """
    wanted = _option(config, "resume")
    if wanted is None or wanted is False:
        return None
    folder = _newest(config, mode) if wanted is True else expand_home(str(wanted), "resume")
    past = read_past(Path(folder)) if folder else None
    if past is None or not past.program:
        where = f"{folder} holds no journal" if folder else f"no {mode} of these words has a journal"
        raise UserError(f"resume: {where}; begin anew without resume, or name the folder: resume=FOLDER.")
    if (is_job := _is_job(past)) or past.program["mode"] != mode:
        what = "job of a sweep" if is_job else past.program["mode"]
        raise UserError(
            f"resume: {folder} is that of a {what}, and this would be a {mode}; what can go on is a run by "
            "itself, or, with -m and its own folder, a whole sweep whose jobs were known when it began."
        )
    if past.has_finished and OmegaConf.select(config, "decide.most") is None:  # which may be given more seeds
        raise UserError(f"resume: nothing is left to do in {folder}; begin anew without resume.")
    return Path(str(folder)).absolute()


def open_journal(folder: Path, hydra: Any, options: Any, mode: str, sweep_id: str | None) -> Journal:
    """Open the journal of a run or sweep, to go on or anew.

    Args:
        folder: that Hydra has made.
        hydra: Hydra's own part of the configuration.
        options: the rest of it, of which `resume` and `resume_anyway` are read.
        mode: "run" or "sweep".
        sweep_id: that it is, or that the run belongs to; None for a run by itself.

    Raises:
        UserError: another program holds it; or, to go on, what made it is not what would go on now.
    """
    is_resumed = _option(options, "resume") not in (None, False)
    identity = {"mode": mode, "sweep_id": sweep_id, "words": _words_of(hydra)}
    journal = Journal(folder, identity, is_resumed)
    now = _describe_origin()
    # a job that Slurm begins again goes on without being asked; of a sweep that goes on, a job may be new
    if journal.past.program:
        before = {key: journal.past.program.get(key) for key in now}
        try:
            check_same(folder, before, now, bool(_option(options, "resume_anyway")))
        except UserError:
            journal.close()
            raise
    journal.begin(now, description.shared_files())
    return journal


def plan_runs(journal: Journal, runs: Sequence[PlannedRun], stacks: Sequence[Sequence[int]]) -> None:
    """Note what runs are to do, and which train together, before anything is trained."""
    journal.plan({run.number: settings_of(run) for run in runs}, stacks)


def check_runs(journal: Journal, runs: Sequence[PlannedRun]) -> bool:
    """Say whether the journal has planned these runs; if so, that they are to do what they were to do.

    Raises:
        UserError: they are to do something else.
    """
    past = journal.past.runs
    if not any(run.number in past for run in runs):
        return False
    for run in runs:
        before = past[run.number].settings if run.number in past else {}
        check_same(run.name, before, settings_of(run), run.config.resume_anyway)
    return True


def settings_of(planned: PlannedRun) -> dict[str, Any]:
    """Return what a run is to do, flat, as it is after a way through JSON; with the digest of its data."""
    return {**description.params(planned), "data_digest": planned.job.data.digest}


def check_same(what: Path | str, before: Mapping[str, Any], now: Mapping[str, Any], is_told: bool) -> None:
    """Raise UserError if something differs, unless the user has said that it may.

    Args:
        what: the folder, or the run.
        before: what the journal says.
        now: what would go on.
        is_told: the user has been told before.
    """
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if not keys or is_told:
        return
    lines = [f"  {key}: {before.get(key)} -> {now.get(key)}" for key in keys[:_MOST_SHOWN]]
    more = [f"  and {len(keys) - _MOST_SHOWN} more"] if len(keys) > _MOST_SHOWN else []
    advice = "Go on as it was begun, or, if the results may differ: resume_anyway=true."
    raise UserError("\n".join([f"resume: {what} was begun otherwise:", *lines, *more, advice]))


def _describe_origin() -> dict[str, str]:
    origin = provenance.collect()
    changes = provenance.digest(origin.diff) if origin.diff else ""
    return {"commit": origin.commit, "local changes": changes, "versions": origin.versions}


def _option(config: Any, key: str) -> Any:
    return OmegaConf.select(config, key, throw_on_missing=False)


def _words_of(hydra: Any) -> list[str]:
    """Return the words of the command line but for those that ask to go on."""
    overrides = hydra.overrides
    own = ("hydra.callbacks.preflight.sweep_id", "hydra.sweep.dir", "hydra.run.dir")
    words = [word for word in overrides.hydra if override_key(word) not in own]
    return sorted([*words, *(word for word in overrides.task if override_key(word) not in RESUMING)])


def _newest(config: DictConfig, mode: str) -> Path | None:
    """Return the newest folder in which a program with the same words has written a journal."""
    pattern = OmegaConf.to_container(config.hydra[mode], resolve=False)
    assert isinstance(pattern, dict)  # noqa: S101 - by Hydra's schema
    words = _words_of(config.hydra)
    for folder in journals_below(Path(str(pattern["dir"]).partition("${")[0] or ".")):
        past = read_past(folder)
        if past is None or _is_job(past):
            continue
        if (past.program.get("mode"), past.program.get("words")) == (mode, words):
            return folder
    return None


def journals_below(root: Path) -> list[Path]:
    """Return the folders of runs and sweeps that hold a journal, the newest first."""
    patterns = ["/".join(["*"] * depth + [NAME]) for depth in range(_DEEPEST)]
    found = [path for pattern in patterns for path in root.glob(pattern)]
    return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def find_journal(folder: Path, root: Path) -> tuple[Path, Past]:
    """Return the folder that is meant, absolute, and what its journal holds.

    Args:
        folder: of a run or sweep, or the id of a sweep.
        root: below it are the folders of sweeps.

    Raises:
        UserError: there is none.
    """
    if (past := read_past(folder)) is not None and past.program:
        return folder.absolute(), past
    for path, found in pasts_below(root):
        if found.program["sweep_id"] == str(folder):
            return path, found
    raise UserError(f"FOLDER: {folder} holds no journal, and no sweep below {root.absolute()} has this id.")


def sweep_of(folder: Path, past: Past) -> tuple[Path, Past]:
    """Return the folder of the sweep that a job belongs to and what its journal holds, else what was given.

    Args:
        folder: of a run or sweep, absolute.
        past: what its journal holds.
    """
    for above in folder.parents if _is_job(past) else ():
        found = read_past(above)
        if found is not None and found.program.get("sweep_id") == past.program["sweep_id"]:
            return above, found
    return folder, past


def jobs_of(folder: Path, past: Past) -> list[tuple[Path, Past]]:
    """Return the folders of the jobs of a sweep that have journals of their own, and what these hold.

    Args:
        folder: of the sweep.
        past: what its journal holds.
    """
    if past.program.get("mode") != "sweep":
        return []
    found = [(path.parent, read_past(path.parent)) for path in sorted(folder.glob(f"*/**/{NAME}"))]
    return [(path, job) for path, job in found if job is not None and _is_same_sweep(job, past)]


def ended_jobs(folder: Path, past: Past) -> set[int]:
    """Return the numbers of the runs of a sweep that have ended, by its journal or those of its jobs.

    Args:
        folder: of the sweep.
        past: what its journal holds.
    """
    every = [past, *(job for _, job in jobs_of(folder, past))]
    return {number for one in every for number, run in one.runs.items() if run.ended is not None}


def _is_job(past: Past) -> bool:
    """Say whether a journal is that of a job which another launcher has run, of a sweep."""
    return past.program.get("mode") == "run" and past.program["sweep_id"] is not None


def _is_same_sweep(job: Past, sweep: Past) -> bool:
    return _is_job(job) and job.program["sweep_id"] == sweep.program["sweep_id"]


def pasts_below(root: Path) -> Iterator[tuple[Path, Past]]:
    """Yield the folders of runs and sweeps, absolute, and what their journals hold, the newest first."""
    for path in journals_below(root):
        past = read_past(path)
        if past is not None and past.program:
            yield path.absolute(), past
