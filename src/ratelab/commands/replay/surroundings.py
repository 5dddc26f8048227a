"""What a run depends on beside its configuration and data: what it was then, and what it is now."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ratelab.commands.replay.reading import Recording
from ratelab.runs.planned import PlannedRun
from ratelab.runtime.machine import describe_machine, read_machine, set_onednn
from ratelab.runtime.provenance import collect, read_checkout

_ABSENT = "none"


def restore_surroundings(recording: Recording, planned: PlannedRun) -> list[str]:
    """Set what can be set as it was, before TensorFlow is imported; say what is unknown, or another one now.

    Threads, precision, XLA and determinism come with the configuration. Flags of XLA are told and not set:
    some of them write files, and the words come from a store.

    Args:
        recording: of the run.
        planned: the run as it was rebuilt.

    Returns:
        A line for each difference, and for what the run did not record.
    """
    tags = recording.run.tags
    machine = read_machine(tags.get("machine"))
    lines = list(_list_changes(tags, recording.changes))
    if machine is None:
        lines.append("not recorded, so not known: processor, oneDNN, flags of XLA (tag machine)")
        if "sweep_id" in tags and "stack" not in tags:
            lines.append("not recorded, so not known: with which runs it was trained together (tag stack)")
        return lines
    if not set_onednn(machine.get("onednn", "")):
        lines.append("oneDNN cannot be set as it was: TensorFlow is imported already, or the tag is not ours")
    return lines + list(_list_different(machine, describe_machine(planned.config.device, {})))


def _list_changes(tags: Mapping[str, str], changes: str | None) -> Iterator[str]:
    """Yield what is different about the code."""
    if "versions" in tags:
        yield from _list_different(_read_versions(tags["versions"]), _read_versions(collect().versions))
    else:
        yield "not recorded, so not known: versions"
    before = tags.get("mlflow.source.git.commit", "")
    commit, diff = _find_checkout(before)
    yield from _list_different({"git commit": before}, {"git commit": commit})
    if changes is None:
        yield "not recorded, so not known: local changes to the checkout (git.diff)"
    elif changes != diff:
        states = {(True, True): ("some", "others"), (True, False): ("some", "none")}
        was, is_now = states.get((bool(changes), bool(diff)), ("none", "some"))
        yield f"local changes to the checkout: were {was}, are {is_now}"


def _find_checkout(commit: str) -> tuple[str, str]:
    """Return commit and local changes of the checkout that made the run: of this folder, or of ratelab's own.

    Which one it was the run has not recorded; the one at its commit, else the first that is a checkout.
    """
    found = [read_checkout(folder) for folder in (Path.cwd(), Path(__file__).parent)]
    return min(found, key=lambda one: (one[0] != commit, not one[0]))


def _read_versions(tag: str) -> dict[str, str]:
    """Return versions by package.

    >>> _read_versions("python 3.13.1, numpy 2.4.1")
    {'python': '3.13.1', 'numpy': '2.4.1'}
    """
    return {name: version for name, _, version in (part.partition(" ") for part in tag.split(", "))}


def _list_different(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each fact that is another one now."""
    for name in {**was, **now}:
        before, after = was.get(name) or _ABSENT, now.get(name) or _ABSENT
        if before != after:
            yield f"{name}: was {before:.300}, is {after:.300}"
