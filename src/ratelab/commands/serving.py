"""MLflow's server for the UI, as a process of its own, and the links into it as the last that is said."""

import os
import socket
import subprocess
import sys
import time

from rich.console import Console

from ratelab.tracking import Recorded, comparison_links, write_links

SECONDS_BETWEEN_LOOKS = 0.1


def print_links(runs: Recorded, ui: str) -> None:
    """Print what the runs are and where the UI shows them."""
    console = Console()
    console.print(f"{runs.title}, {len(runs.run_ids)} runs:", highlight=False, markup=False)
    for line in write_links(comparison_links(ui, runs.experiment_id, runs.run_ids, runs.sweep_id)):
        console.print(line, soft_wrap=True, highlight=False)


def serve(store: str, port: int, runs: Recorded) -> None:
    """Run MLflow's server, on loopback, for no other host name; print the links once it answers.

    Args:
        store: what `prepare_store` returned.
        port: where to listen.
        runs: what the links show.

    Raises:
        SystemExit: when the server has ended, with its status.
        Terminated: after a signal; the server has ended as well.
    """
    hosts = f"127.0.0.1:{port},localhost:{port}"
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--allowed-hosts", hosts, "--workers", "1"]
    # A line for every request would push the links out of sight.
    words += ["--uvicorn-opts", "--log-level warning"]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # for traces and judges, which are not ours
        "MLFLOW_BACKEND_STORE_URI": store,  # not as an argument, which every user of the machine can read
    }
    # In a session of its own: MLflow passes Ctrl-C on to its server, which the terminal has told already.
    server = subprocess.Popen(  # noqa: S603 - our own interpreter, fixed words
        [sys.executable, "-m", "mlflow", *words], env=environment, start_new_session=True
    )
    try:
        while server.poll() is None and not listens(port):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if server.poll() is None:
            print_links(runs, f"http://127.0.0.1:{port}")
            print("Ctrl-C ends the server.", flush=True)
        status = server.wait()
        sys.exit(status if status >= 0 else 128 - status)
    finally:
        server.terminate()
        server.wait()


def listens(port: int) -> bool:
    """Say whether a program on this machine listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
