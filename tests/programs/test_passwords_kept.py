"""A sweep into a server that asks for a password: it is let in, and the password is found nowhere."""

import base64
import http.client
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support.programs import ONE_WORKER, begin, finish, ratelab, train, wait_until

HUSH = "hu/sh@77"
QUOTED = "hu%2Fsh%4077"
WANTED = "Basic " + base64.b64encode(f"me:{HUSH}".encode()).decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Gate(BaseHTTPRequestHandler):
    """Lets in who knows the password, and hands all requests on to MLflow's server."""

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != WANTED and self.path != "/health":
            self.send_error(401)
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        behind.request(self.command, self.path, body, {"Content-Type": self.headers.get("Content-Type", "")})
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", ""))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Print nothing about requests."""


for verb in ("GET", "POST", "PUT", "PATCH"):
    setattr(Gate, f"do_{verb}", Gate.handle_any)


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """The folder of an MLflow server, and the port of the gate before it."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/store.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    wait_until(lambda: answers(port), process)
    gate = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    gate.behind = port
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    yield folder, gate.server_port
    gate.shutdown()
    gate.server_close()
    process.terminate()
    process.wait(timeout=20)


def found_in(*folders):
    """The files that hold the password in some form, the database's and its log's among them."""
    forms = [form.encode() for form in (HUSH, QUOTED, WANTED.removeprefix("Basic "))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    return [path for path in files if any(form in path.read_bytes() for form in forms)]


def test_a_password_on_the_command_line_lets_in_and_is_nowhere(gate, tmp_path):
    folder, port = gate
    uri = f"http://me:{QUOTED}@127.0.0.1:{port}"
    done = train(
        tmp_path,
        *["-m", "experiment=quick", "epochs=1", "schedule=fixed,cosine", ONE_WORKER],
        *["tracking=server", f"tracking.uri={uri}"],
    )
    assert (done.status, done.err) == (0, "")
    assert found_in(folder, tmp_path) == []
    assert not any(form in done.out for form in (HUSH, QUOTED))
    compared = ratelab(tmp_path, "compare", "--uri", uri)
    assert (compared.status, compared.err) == (0, "")
    assert "cosine" in compared.out
    refused = ratelab(tmp_path, "compare", "--uri", uri.replace(QUOTED, "wr0ng"))
    assert refused.status == 1
    assert "401" in refused.err
    assert "wr0ng" not in refused.err


def test_a_password_in_a_file_of_the_configuration_stays_there(gate, tmp_path):
    folder, port = gate
    own = tmp_path / "own" / "tracking"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(
        f"uri: http://me:{QUOTED}@127.0.0.1:{port}\n"
        "experiment: ratelab\ntrain_loss_every: 10\nlog_model: false\n"
    )
    begun = begin(
        tmp_path, "--config-dir", "own", "experiment=quick", "epochs=1", "schedule=fixed", "tracking=mine"
    )
    done = finish(begun, tmp_path)
    assert (done.status, done.err) == (0, "")
    assert found_in(folder, tmp_path) == [own / "mine.yaml"]
    assert not any(form in done.out for form in (HUSH, QUOTED))
