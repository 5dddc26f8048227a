"""The files of a data set: of the user's folder, if one is given, else from the cache or a source."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from ratelab.data.files import FILES, AlteredError, File, read
from ratelab.data.sources import SOURCES, Read, UnavailableError
from ratelab.runtime.home import expand_home
from ratelab.validation import UserError

LOCK_SECONDS = 900.0  # the largest file over a slow line


def cache_folder() -> Path:
    """Return where fetched files are kept: RATELAB_CACHE, or the usual place of the operating system."""
    chosen = os.environ.get("RATELAB_CACHE")
    folder = expand_home(chosen, "RATELAB_CACHE") if chosen else user_cache_path("ratelab")
    return folder.absolute()


def contents(name: str, directory: Path | None, cache: Path) -> tuple[bytes, ...]:
    """Return the genuine files of a data set; without a folder they are fetched into the cache once.

    Args:
        name: a key of FILES.
        directory: the user's own folder with all of the files; nothing is looked for elsewhere then, so
            that a mistake in its name is not passed over.
        cache: the folder of all fetched data sets.

    Returns:
        The content of each file, uncompressed and verified, in the order of FILES.

    Raises:
        UserError: if `directory` lacks a file or has one that is not the genuine one, or a file is nowhere
            to be had.
    """
    files, folder = FILES[name], cache / name
    if directory is not None:
        return _read_directory(name, directory)
    found, refused = _read_folder(files, folder)
    for reason in refused:
        print(f"ratelab: {reason}; it is fetched again", file=sys.stderr)
    lacking = _list_lacking(files, found)
    if lacking:
        tried = ["data.dir: not set", f"cache {folder}: no genuine {_join_names(lacking)}"]
        found |= _fetch(name, lacking, folder, tried)
    return tuple(found[file.name] for file in files)


def look_at_files(name: str, folder: Path) -> tuple[list[str], list[str]]:
    """Say which genuine files of a data set a folder lacks, and why others in it are refused.

    Args:
        name: a key of FILES.
        folder: the user's own, or that of the data set in the cache; it need not be there.

    Returns:
        The names of the files that are not there or refused, and a reason for each that is refused.
    """
    found, refused = _read_folder(FILES[name], folder)
    return [file.name for file in _list_lacking(FILES[name], found)], refused


def _join_names(files: Sequence[File]) -> str:
    return ", ".join(file.name for file in files)


def _list_lacking(files: Sequence[File], found: dict[str, bytes]) -> list[File]:
    return [file for file in files if file.name not in found]


def _read_directory(name: str, directory: Path) -> tuple[bytes, ...]:
    """Return the files of the user's folder; refuse one that is not there, or is not the genuine one."""
    files = FILES[name]
    remedy = (
        f"Put {_join_names(files)} (raw or .gz) there, or leave data.dir out and ratelab fetches its own."
    )
    if not directory.is_dir():
        what = "is not a folder" if directory.exists() else "does not exist"
        raise UserError(f"data.dir: {directory} {what}. {remedy}")
    found, refused = _read_folder(files, directory)
    if refused:
        raise UserError(
            f"data.dir: {refused[0]}. Put the genuine file there, or leave data.dir out and ratelab fetches "
            "its own."
        )
    if lacking := _list_lacking(files, found):
        raise UserError(f"data.dir: {directory} has no {_join_names(lacking)}. {remedy}")
    return tuple(found[file.name] for file in files)


def _read_folder(files: Sequence[File], folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return what a folder holds, and why other files in it are refused."""
    found, refused = {}, []
    for file in files:
        try:
            found[file.name] = read(folder, file)
        except FileNotFoundError:
            continue
        except (AlteredError, OSError) as error:
            refused.append(str(error))
    return found, refused


def _fetch(name: str, files: Sequence[File], folder: Path, tried: list[str]) -> dict[str, bytes]:
    """Fetch `files` into `folder`, one process at a time, and return their content.

    Waits for another process that fetches, a quarter of an hour at most. A source that fails is noted in
    `tried`; what it gave before is kept, and the next is asked for the rest.
    """
    with _lock(folder):
        found, _ = _read_folder(files, folder)  # another process may have fetched them while this one waited
        for source in SOURCES[name]:
            lacking = _list_lacking(files, found)
            if not lacking:
                break
            print(f"ratelab: fetching {name} from {source} into {folder}", file=sys.stderr)
            try:
                with source.open() as read_raw:
                    for file in lacking:
                        found[file.name] = _put(file, read_raw, folder)
            except (UnavailableError, AlteredError) as reason:
                tried.append(f"{source}: {reason}")
    if _list_lacking(files, found):
        raise _explain_lack(name, _list_lacking(files, found), tried)
    return found


def _put(file: File, read_raw: Read, folder: Path) -> bytes:
    """Put one file in its place and return its content; pooch writes it aside, verifies it and renames it."""
    import pooch

    content = read_raw(file.name)
    file.check(content, "the download")

    # pooch's own downloads are compressed, and its hashes are of what is downloaded; ours are of the content
    def write(_url: str, aside: str, _pooch: object) -> None:
        Path(aside).write_bytes(content)
        Path(aside).chmod(0o644)  # a temporary file is private; a cache may be shared

    pooch.get_logger().setLevel("WARNING")  # which source it is has just been said
    pooch.retrieve(file.name, f"sha256:{file.sha256}", fname=file.name, path=folder, downloader=write)
    return content


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the cache folder for this process; the lock ends with the process, however that ends."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "fetch.lock", timeout=LOCK_SECONDS):
            yield
    except Timeout:
        raise UserError(
            f"{folder}: another process has been fetching for {LOCK_SECONDS:g} seconds; "
            "end it and start again."
        ) from None
    except OSError as error:
        raise UserError(
            f"Nothing can be fetched into {folder}: {error}. "
            "Set RATELAB_CACHE to a folder of yours with 60 MB of free space."
        ) from error


def _explain_lack(name: str, lacking: Sequence[File], tried: Sequence[str]) -> UserError:
    reasons = "\n".join(f"  {reason}" for reason in tried)
    return UserError(
        f"{name}: {_join_names(lacking)} could not be found. Tried, in this order:\n{reasons}\n"
        f"Put {_join_names(FILES[name])} (raw or .gz) into one folder "
        "and set data.dir=<folder with the four files>."
    )
