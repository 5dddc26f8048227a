"""A PostgreSQL server of the tests' own, which may be stopped and started again."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.servers import free_port

LACKING = "PostgreSQL's own programs are not on this machine: apt-get install postgresql"
USER = "postgres"  # the server refuses to run as root


class PostgresqlServer:
    """A cluster in `folder` that listens on loopback, and trusts whoever comes from there."""

    def __init__(self, programs, folder):
        self._programs, self._folder, self._port = programs, folder, free_port()
        self.uri = f"postgresql+psycopg://{USER}@127.0.0.1:{self._port}/postgres"

    def make(self):
        self._run("initdb", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8")

    def start(self):
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, how="fast"):
        self._run("pg_ctl", "-w", "-m", how, "stop")

    def _run(self, name, *words):
        user = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
        command = [self._programs / name, "-D", self._folder / "data", *words]
        with (self._folder / "programs").open("a") as said:  # the server keeps what it is given open
            subprocess.run(command, cwd="/", stdout=said, stderr=said, check=True, **user)


@contextmanager
def postgresql_server():
    """A server that runs; the test is skipped where there is none to be run."""
    programs = find_programs()
    if programs is None:
        pytest.skip(LACKING)
    with tempfile.TemporaryDirectory() as name:  # not in pytest's folders, which are for root alone
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        server = PostgresqlServer(programs, folder)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def find_programs():
    """Return the folder of PostgreSQL's programs, which Debian has on no PATH; None if there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    debian = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return debian[-1].parent if debian else None
