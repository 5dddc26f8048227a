"""The commands of docs/server.md: a server as it has it, without Docker, with users who record there."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support import ROOT
from support.followed import call, make_quick, read_blocks
from support.objects import object_store
from support.programs import ratelab, train
from support.servers import QUICKLY, free_port, wait_for_server
from support.team import LACKING

pytest.importorskip("flask_wtf", reason=LACKING)

PAGE, BLOCKS = read_blocks("server.md")
[START] = [block for _, block in BLOCKS if "mlflow server" in block]
[USER] = [block for _, block in BLOCKS if block.startswith("curl ")]
[GRANT] = re.findall(r"`(curl .*)`", PAGE)
[RECORD] = [block for _, block in BLOCKS if "train.py" in block]
PROGRAMS = Path(sys.executable).parent
WORDS = {"admin": "of the administrator", "ada": "of ada, a user", "ben": "of ben, another"}
QUICKER = {  # one seed, on the digits
    "train.py": "train.py data=digits batch_size=24 epochs=1",
    "seed=0,1,2": "seed=0",
}
# MLflow's client asks for the address of a file of this size in the object store, and would go there itself
SMALL = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1000"}


@pytest.fixture(scope="module")
def server(make_database, tmp_path_factory):
    """The address of a server that the commands of the page have started, with an object store behind it."""
    folder = tmp_path_factory.mktemp("server")
    accounts = (ROOT / "examples" / "server" / "accounts.ini").read_text()
    address_of_accounts = "postgresql+psycopg://mlflow@database/accounts"
    assert address_of_accounts in accounts
    (folder / "accounts.ini").write_text(accounts.replace(address_of_accounts, make_database()))
    port, log = free_port(), folder / "log"
    here = {
        r"pip install .*\n": "",
        r"ADMIN_PASSWORD=\.\.\.": f"ADMIN_PASSWORD='{WORDS['admin']}'",
        r"=\.\.\.": "='what nobody knows'",
        "--host 0.0.0.0": f"--host 127.0.0.1 --port {port} --workers 1",
        r"mlflow\.example\.org": "127.0.0.1",
        r"postgresql\+psycopg://mlflow@HOST/mlflow": make_database(),
        "s3://BUCKET": "s3://mlflow",
    }
    assert [pattern for pattern in here if not re.search(pattern, START)] == []
    with object_store(folder / "objects") as (environment, _), log.open("w") as said:
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            ["sh", "-eu", "-c", make_quick(START, here)],
            cwd=folder,
            env={**os.environ, "PATH": path, **QUICKLY, **environment},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for_server(address, process, log)
            yield address
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def do(block, folder, server, name):
    """Do the commands of a block, made quick, as the user of this name; return what they printed."""
    here = {
        "curl --user admin": f"curl --silent --show-error --fail --user 'admin:{WORDS['admin']}'",
        '"ada", "password": "..."': f'"{name}", "password": "{WORDS[name]}"',
        r"MLFLOW_TRACKING_USERNAME=ada MLFLOW_TRACKING_PASSWORD=\.\.\.": (
            f"MLFLOW_TRACKING_USERNAME={name} MLFLOW_TRACKING_PASSWORD='{WORDS[name]}'"
        ),
        r"http://(HOST|127\.0\.0\.1):5000": server,
    }
    return call(block, folder, PROGRAMS, {**here, **QUICKER}, **SMALL)


@pytest.fixture(scope="module")
def printed(server, tmp_path_factory):
    """What is printed when a user is made, who records, and another one, who then has a permission there."""
    folder = tmp_path_factory.mktemp("ada")
    for name in ("src", "conf"):
        (folder / name).symlink_to(ROOT / name)
    return [
        do(USER, folder, server, "ada"),
        do(RECORD, folder, server, "ada"),
        do(USER, folder, server, "ben"),
        do(GRANT, folder, server, "ben"),
    ]


def test_every_command_does_what_the_page_says(printed):
    ada, record, ben, grant = printed
    assert [json.loads(made)["user"]["username"] for made in (ada, ben)] == ["ada", "ben"]
    assert json.loads(grant) == {}
    assert "* exponential and fixed: no conclusion is possible from one seed" in " ".join(record.split())


def test_artifacts_come_and_go_through_the_server_alone(printed, server, tmp_path, monkeypatch):
    """In the object store, which only the server reaches; nobody is warned of anything."""
    from mlflow import MlflowClient

    for key, value in {"USERNAME": "ada", "PASSWORD": WORDS["ada"]}.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{key}", value)
    words = ["experiment=quick", "epochs=1", "tracking.experiment=objects"]
    done = train(tmp_path, *words, "tracking=server", f"tracking.uri={server}", **SMALL)
    assert (done.status, done.complaints) == (0, [])
    client = MlflowClient(server)
    [run] = client.search_runs([client.get_experiment_by_name("objects").experiment_id])
    done = ratelab(tmp_path, "replay", run.info.run_id, "--uri", server)
    assert (done.status, done.complaints) == (0, [])
    assert "identical" in done.out
