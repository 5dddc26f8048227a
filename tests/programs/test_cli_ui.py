"""`ratelab ui` on a real store: the links of the newest sweep; a server for this machine only."""

import http.client
import re
import shutil
import socket
from contextlib import closing
from importlib.metadata import version

import pytest

from ratelab import tracking
from ratelab.commands import serving
from ratelab.commands.cli import commands
from ratelab.tracking import Recorded, RecordedRun, comparison_links
from support import in_process
from support.programs import HANGS, READY, ratelab, ui_server
from support.servers import free_port


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
    """A mistake that is not refused fails; it does not start a server."""
    monkeypatch.setattr(serving, "serve", lambda *_: pytest.fail("a server was started"))


@pytest.fixture(scope="module")
def server(quick, tmp_path_factory):
    """A running `ratelab ui` on a copy: its process, its port and the file with all that it prints."""
    folder = tmp_path_factory.mktemp("ui")
    shutil.copytree(quick.folder / "mlruns", folder / "mlruns")
    with ui_server(folder, "ui") as running:
        yield running


def test_the_links_of_the_newest_sweep_come_last_and_no_request_is_logged_over_them(quick, server):
    _, port, said = server
    assert {status(port) for _ in range(3)} == {200}
    sweep_id = quick.parent.data.tags["sweep_id"]
    ids = [quick.children[name].info.run_id for name in quick.children]
    links = comparison_links(f"http://127.0.0.1:{port}", quick.parent.info.experiment_id, ids, sweep_id)
    *_, title, charts, ready = said.read_text().splitlines(keepends=True)
    assert (title, charts) == (f"sweep {sweep_id}, 6 runs:\n", f"  their charts: {links[0].address}\n")
    assert ready == READY
    assert "workflowType=machine_learning" in charts


def test_of_a_server_only_the_links_are_printed(tmp_path, monkeypatch):
    """It has a UI of its own; that its port is in use on this machine is no mistake."""
    runs = (RecordedRun("a1", "fixed seed=0", "FINISHED", {}, {}, {}),)
    monkeypatch.setattr(tracking, "find_store", lambda uri, _: uri)
    monkeypatch.setattr(tracking, "find_runs", lambda *_: Recorded("1", runs, "sweep ab", "ab"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        uri = f"http://me:hush@127.0.0.1:{port}"
        done = in_process.ratelab(tmp_path, "ui", "--uri", uri, "--port", str(port), "--sweep", "ab")
    assert (done.status, done.err) == (0, "")
    title, charts, _ = done.out.splitlines()
    assert title == "sweep ab, 1 runs:"
    assert charts.startswith(f"  their charts: http://me:***@127.0.0.1:{port}/#/experiments/1/runs?")


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
    assert len(examples) == {"doctor": 2, "lr-find": 2, "preview": 2, "replay": 1}.get(name, 0)


def test_sigterm_ends_it(server):
    process, port, _ = server
    process.terminate()
    assert process.wait(timeout=HANGS) == 143
    assert not accepts("127.0.0.1", port)
