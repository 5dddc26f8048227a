"""`ratelab ui` on a real store: the links of the newest sweep; a server for this machine only."""

import http.client
import os
import re
import shutil
import socket
import subprocess
from contextlib import closing, suppress
from importlib.metadata import version

import pytest

from ratelab.commands.cli import commands
from support import SRC, in_process
from support.programs import HANGS, RATELAB, ratelab, wait_until

LINKS = re.compile(r"^  (http://\S+)$", re.MULTILINE)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(address, port):
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def status(port, **headers):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/", headers=headers)
        with connection.getresponse() as response:
            return response.status


@pytest.fixture(autouse=True)
def no_server_in_this_process(monkeypatch):
    """A mistake that is not refused fails; it does not turn the program of the tests into a server."""
    monkeypatch.delattr(os, "execv")


@pytest.fixture(scope="module")
def server(quick, tmp_path_factory):
    """A running `ratelab ui` on a copy: its process, its port and what it printed before it served."""
    folder, port = tmp_path_factory.mktemp("ui"), free_port()
    shutil.copytree(quick.folder / "mlruns", folder / "mlruns")
    command = [*RATELAB, "ui", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    with (folder / "said").open("w") as said, (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=log)
    try:
        wait_until(lambda: accepts("127.0.0.1", port), process)
        yield process, port, (folder / "said").read_text()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait(timeout=HANGS)


def test_it_prints_the_links_that_the_sweep_printed(quick, server):
    _, port, said = server
    assert [link.replace(str(port), "5000", 1) for link in LINKS.findall(said)] == LINKS.findall(quick.out)
    assert re.match(r"sweep [\d-]{19}-[0-9a-f]{8}, 6 runs:\n", said)


def test_it_serves_this_machine_and_no_other(server):
    _, port, _ = server
    assert status(port) == 200
    assert not accepts("127.0.0.2", port)


def test_it_refuses_a_foreign_host_name(server):
    """A page in the browser of the user could otherwise reach it by rebinding its own name to 127.0.0.1."""
    _, port, _ = server
    assert status(port, Host="evil.example") == 403
    assert status(port, Host=f"localhost:{port}") == 200


def test_a_taken_port_is_one_message(quick, server):
    done = in_process.ratelab(quick.folder, "ui", "--port", str(server[1]))
    assert done.status == 2
    assert done.out == ""
    assert f"--port: {server[1]} is in use" in done.err
    assert "Traceback" not in done.err


def test_an_empty_store_is_one_message(tmp_path):
    done = ratelab(tmp_path, "ui", "--port", str(free_port()))
    assert (done.status, done.out) == (1, "")
    store = tmp_path / "mlruns" / "mlflow.db"
    advice = "run `python src/train.py` here first, or give --uri"
    assert done.err == f"there is no store at {store}; {advice}.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sweep_id", ["none", "it's", "a b", "", "x' OR '1'='1"])
def test_a_sweep_that_is_not_there_is_one_message(quick, sweep_id):
    done = in_process.ratelab(quick.folder, "ui", "--port", str(free_port()), f"--sweep={sweep_id}")
    assert (done.status, done.out) == (1, "")
    assert f"no run of sweep {sweep_id!r}" in done.err
    assert len(done.err.splitlines()) == 1


def test_it_says_which_version_it_is(tmp_path):
    done = in_process.ratelab(tmp_path, "--version")
    assert (done.status, done.out) == (0, f"ratelab, version {version('ratelab')}\n")


def test_help_names_every_command(tmp_path):
    done = in_process.ratelab(tmp_path, "--help")
    assert done.status == 0
    assert commands.commands
    assert set(commands.commands) <= set(re.findall(r"^  ([\w-]+)  ", done.out, re.MULTILINE))


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_the_help_of_a_command_keeps_its_examples_on_lines_of_their_own(tmp_path, name):
    done = in_process.ratelab(tmp_path, name, "--help")
    assert done.status == 0
    assert "\\b" not in done.out
    examples = [line for line in done.out.splitlines() if line.startswith("  ratelab ")]
    assert len(examples) == {"lr-find": 2, "preview": 2}.get(name, 0)


def test_sigterm_ends_it(server):
    process, port, _ = server
    process.terminate()
    process.wait(timeout=HANGS)
    assert not accepts("127.0.0.1", port)
