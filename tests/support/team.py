"""A server as a team has one: accounts before it, PostgreSQL behind it, artifacts through it."""

import importlib.util
import json
import secrets
import urllib.error
import urllib.request
from base64 import b64encode
from configparser import ConfigParser
from contextlib import contextmanager

import pytest

from support import ROOT
from support.servers import API, MlflowServer

LACKING = "accounts for MLflow's server are not on this machine: pip install 'mlflow[auth]'"
GRANT = "/api/3.0/mlflow/users/permissions/grant"
OPTIONS = ["--app-name", "basic-auth"]
SETTINGS = {  # and what is secret or a path
    "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*",
    "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "",
    "MLFLOW_AUTH_CONFIG_PATH": "",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "",
}


def read_accounts():
    """Return the settings of the accounts that examples/server has."""
    parser = ConfigParser()
    parser.read(ROOT / "examples" / "server" / "accounts.ini")
    return dict(parser["mlflow"])


class Team:
    """The server, its administrator and two of its users, whose names are `ada` and `ben`.

    Attributes:
        server: may be stopped and started again.
        address: of the server.
        store: the URI of its database.
    """

    def __init__(self, folder, store, accounts, permission, options, environment):
        self._passwords = {name: secrets.token_urlsafe(12) for name in ("admin", "ada", "ben")}
        told = ConfigParser()
        told["mlflow"] = {**read_accounts(), "database_uri": accounts, "default_permission": permission}
        with (folder / "accounts.ini").open("w") as file:
            told.write(file)
        settings = {
            **SETTINGS,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._passwords["admin"],
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "accounts.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
            **environment,
        }
        self.server, self.store = MlflowServer(folder, store, *OPTIONS, *options, **settings), store
        self.address = self.server.address

    def start(self):
        self.server.start()
        for name in ("ada", "ben"):
            self.ask(f"{API}/users/create", username=name, password=self._passwords[name])

    def words(self):
        """Of the command line of whoever records there."""
        return ["tracking=server", f"tracking.uri={self.address}"]

    def login(self, name):
        """Of the environment of a program that a user starts."""
        return {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": self._passwords[name]}

    def make_experiment(self, experiment, *names):
        """Make an experiment as the administrator, in which these users may record; return its id."""
        made = self.ask(f"{API}/experiments/create", name=experiment)["experiment_id"]
        for name in names:
            self.grant(made, name)
        return made

    def grant(self, experiment_id, name):
        """Let a user record in an experiment."""
        told = {"resource_type": "experiment", "resource_id": experiment_id, "permission": "EDIT"}
        self.ask(GRANT, username=name, **told)

    def ask(self, endpoint, **body):
        """Return the answer to a request of the administrator's."""
        login = b64encode(f"admin:{self._passwords['admin']}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + endpoint, json.dumps(body).encode(), headers)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
                return json.load(answer)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{endpoint}: {error.code} {error.read().decode()}")


@contextmanager
def team_server(folder, make_database, permission="READ", options=(), **environment):
    """A server that runs; the test is skipped where there are no accounts to be had.

    Args:
        folder: for what it keeps.
        make_database: makes an empty one and returns its URI.
        permission: what a user may do in another one's experiment.
        options: of the server's command line, besides ours.
        environment: of the server, besides ours.
    """
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip(LACKING)
    team = Team(folder, make_database(), make_database(), permission, options, environment)
    try:
        team.start()
        yield team
    finally:
        team.server.stop()
