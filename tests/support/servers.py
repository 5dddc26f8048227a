"""A real `mlflow server` on loopback, and a proxy before it that misbehaves when it is told to."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ratelab.tracking import prepare_store

STARTS = 400  # seconds within which a server must answer, however busy the machine is
API = "/api/2.0/mlflow"
# its queue of jobs, seven processes which nobody here uses, would take most of the time of its start
QUICKLY = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MlflowServer:
    """`mlflow server` with what it keeps in `folder`, which may be stopped and started again.

    Args:
        folder: for its artifacts and its log.
        store: the URI of its database.
        options: of its command line.
        environment: what it is told besides ours.
    """

    def __init__(self, folder, store, *options, **environment):
        told = {**QUICKLY, **environment}
        self._log, self._environment, self._process = folder / "log", {**os.environ, **told}, None
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--workers", "1", "--backend-store-uri", store]
        self._command += ["--artifacts-destination", str(folder / "artifacts"), *options]

    def start(self):
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for_server(self.address, self._process, self._log)

    def stop(self):
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def wait_for_server(address, process, log):
    """Return when the server that a process is, or starts, answers; its log is told if it ends before."""
    end = time.monotonic() + STARTS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"mlflow server did not start:\n{log.read_text()}")


@contextmanager
def mlflow_server(folder):
    """The address of a server with a SQLite store in `folder`."""
    folder.mkdir(exist_ok=True)
    server = MlflowServer(folder, prepare_store("sqlite:///mlruns/mlflow.db", folder))
    try:
        server.start()
        yield server.address
    finally:
        server.stop()


class Proxy:
    """Hands requests on, but those that a fault was ordered for; `seen` counts them all by their endpoint.

    Attributes:
        address: to be used instead of the server's.
        faults: by the end of a path, what happens to its next requests, one after the other: a status, the
            seconds that the answer takes longer, "lost" for a connection that ends without the answer,
            "silent" for one that stays and is never answered, None for nothing.
        rule: returns the fault of a request by its path and its body, None for one of `faults`, if any.
    """

    def __init__(self, address):
        self.target = address.removeprefix("http://")
        self.faults, self.seen = {}, Counter()
        self.rule = lambda path, body: None
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                proxy.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815 - as the standard library says

            def log_message(self, *_):
                """Print nothing about requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def order(self, endpoint, *faults):
        self.faults[endpoint] = list(faults)

    def _next_fault(self, path):
        with self._lock:
            path = path.partition("?")[0]
            self.seen[path.removeprefix(API)] += 1
            for endpoint, faults in self.faults.items():
                if path.endswith(endpoint) and faults:
                    return faults.pop(0)
        return None

    def handle(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self.rule(request.path, body) or self._next_fault(request.path)
        if isinstance(fault, int):
            self._answer(request, fault, b'{"error_code": "X", "message": "a fault"}', "application/json")
            return
        if fault == "silent":
            threading.Event().wait()
        if isinstance(fault, float):
            time.sleep(fault)
        connection = http.client.HTTPConnection(self.target, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fault == "lost":
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        self._answer(request, answer.status, content, answer.headers.get("Content-Type", "text/plain"))

    def _answer(self, request, status, content, kind):
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Retry-After", "3600")  # of a fault; nobody is to wait for so long
        request.end_headers()
        request.wfile.write(content)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class Line:
    """Hands bytes on, both ways, between any server and who connects to `port`; it can go dead.

    Attributes:
        port: to be used instead of the server's.
        left: how many more pieces from those who connect are handed on; None: all. After that nothing is,
            and no connection ends, as behind a cable that was pulled out, until it is set to None again: then
            what waited goes on its way, also that a connection has ended.
    """

    def __init__(self, host, port):
        self._target, self.left = (host, port), None
        self._over = threading.Event()
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._sockets[0].getsockname()[1]

    def _accept(self):
        with suppress(OSError):  # at the end
            while True:
                here = self._sockets[0].accept()[0]
                there = socket.create_connection(self._target)
                self._sockets += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._hand_on, args=(*ends, ends[0] is here), daemon=True).start()

    def _hand_on(self, source, target, counts):
        with suppress(OSError):  # one of the two has gone
            while data := source.recv(65536):
                while self.left == 0:
                    if self._over.wait(0.1):
                        return
                if counts and self.left:
                    self.left -= 1
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for one in self._sockets:
            with suppress(OSError):  # it has been shut down by the other end
                one.shutdown(socket.SHUT_RDWR)
            one.close()
