"""Several people record through one server with accounts: at once, uninvited, while it is started again."""

import threading
import time
from collections import Counter

import pytest
from sqlalchemy import make_url, text

from ratelab.tracking import open_tracker, prepare_store
from ratelab.validation import UserError
from support.programs import ONE_WORKER, begin, finish, train, wait_until
from support.team import read_accounts, team_server

# mlflow and sqlalchemy, when they are first imported, use things that others have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]
EPOCHS = 10
SWEEP = [
    *("-m", "experiment=quick", f"epochs={EPOCHS}", "tracking.train_loss_every=1", ONE_WORKER),
    *("schedule=fixed,exponential", "seed=0,1"),
]
ROWS = {  # of a run
    "learning_rate": 50 * EPOCHS,
    "train_loss": 50 * EPOCHS,
    "val_loss": EPOCHS,
    "val_accuracy": EPOCHS,
    "train_seconds": EPOCHS,
    "noise_scale": EPOCHS,
    "test_loss": 1,
    "test_accuracy": 1,
}


@pytest.fixture
def be(team, monkeypatch):
    """Let this process be a user of the server."""

    def be_one_of(name):
        for key, value in team.login(name).items():
            monkeypatch.setenv(key, value)

    return be_one_of


def runs_of(address, experiment):
    from mlflow import MlflowClient

    client = MlflowClient(address)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_who_may_only_read_an_experiment_is_told_so_before_training_and_what_would_let_him(team, tmp_path):
    team.make_experiment("of ada", "ada")
    words = ["experiment=quick", "tracking.experiment=of ada", *team.words()]
    done = train(tmp_path, *words, **team.login("ben"))
    assert (done.status, done.out) == (1, "")
    told = (
        f"tracking.uri: {team.address} refuses /api/2.0/mlflow/runs/create with status 403. Ask the server's"
    )
    assert done.err.startswith(
        f"{told} owner for the permission EDIT on the experiment, or name one of your own: "
    )
    assert "tracking.experiment=NAME" in done.err
    assert "Traceback" not in done.err
    assert [*tmp_path.iterdir()] == []


def test_who_is_shut_out_between_the_question_and_the_first_run_is_told_the_same(team, be, tmp_path):
    be("ben")
    uri = prepare_store(team.address, tmp_path, "made meanwhile")
    team.make_experiment("made meanwhile", "ada")
    with (
        pytest.raises(UserError, match=r"error code 403 .*permission EDIT .* tracking\.experiment=NAME"),
        open_tracker(uri, "made meanwhile", tmp_path) as tracker,
        tracker.run("one", params={}, tags={}),
    ):
        pytest.fail("it was opened")


def test_who_has_made_an_experiment_and_is_given_the_right_a_moment_later_is_let_in(team, be, tmp_path):
    """As where two programs of a user begin at once: the experiment that the other made is there first."""
    made = team.make_experiment("just made")
    be("ben")
    threading.Timer(1.0, team.grant, [made, "ben"]).start()
    assert prepare_store(team.address, tmp_path, "just made") == team.address


def test_a_stranger_and_another_name_of_the_server_are_refused_with_what_to_do(team, be, tmp_path):
    with pytest.raises(
        UserError, match=r"status 401\. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    ):
        prepare_store(team.address, tmp_path, "ratelab")
    be("ada")
    with pytest.raises(UserError, match=r"status 403\. .* is to be in its --allowed-hosts"):
        prepare_store(team.address.replace("127.0.0.1", "localhost"), tmp_path, "ratelab")


def test_a_model_is_kept_through_the_server(team, be, tmp_path):
    from mlflow import MlflowClient

    team.make_experiment("with a model", "ben")
    words = ["experiment=quick", "epochs=1", "tracking.experiment=with a model", *team.words()]
    done = train(tmp_path, *words, **team.login("ben"))
    assert (done.status, done.complaints) == (0, [])
    be("ben")
    [run] = runs_of(team.address, "with a model")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    [model] = run.outputs.model_outputs
    assert MlflowClient(team.address).get_logged_model(model.model_id).status.name == "READY"


def test_with_the_accounts_of_the_example_the_second_user_records_in_the_experiment_of_the_first(
    make_database, tmp_path
):
    words = ["experiment=quick", "epochs=1", "tracking.experiment=of all"]
    with team_server(tmp_path, make_database, read_accounts()["default_permission"]) as open_team:
        for name in ("ada", "ben"):
            done = train(tmp_path, *words, *open_team.words(), **open_team.login(name))
            assert (done.status, done.complaints) == (0, [])


def rows_of(team, connect, experiment):
    """Return run, status, metric, rows and different steps, of each metric of each run in an experiment."""
    query = """SELECT run_uuid, status, key, count(*), count(DISTINCT step)
        FROM runs JOIN experiments USING (experiment_id) JOIN metrics USING (run_uuid)
        WHERE experiments.name = :experiment GROUP BY run_uuid, status, key"""
    with connect(make_url(team.store).database) as connection:
        return connection.execute(text(query), {"experiment": experiment}).all()


def count(team, connect, experiment):
    """Return how many runs are FINISHED, how many rows they have, and how many they lack."""
    rows = [row for row in rows_of(team, connect, experiment) if row.status == "FINISHED"]
    assert [row for row in rows if row[3] != row[4]] == []
    runs = {row[0] for row in rows}
    lacking = Counter({(run, key): number for run in runs for key, number in ROWS.items()})
    lacking.subtract({(run, key): number for run, _, key, number, _ in rows})
    return len(runs), sum(row[3] for row in rows), (+lacking).total()


def test_a_server_that_is_started_again_in_the_middle_of_a_sweep_has_every_row(team, connect, tmp_path):
    words = [*SWEEP, "tracking.experiment=restarted", *team.words()]
    process = begin(tmp_path, *words, **team.login("ada"))
    wait_until(lambda: rows_of(team, connect, "restarted"), process)
    team.server.stop()
    team.server.start()
    done = finish(process, tmp_path)
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    assert count(team, connect, "restarted") == (4, 4 * sum(ROWS.values()), 0)


@pytest.mark.parametrize(
    ("users", "is_made"),
    [
        (["ada", "ben"], True),
        pytest.param(["ada", "ben"] * 4, True, marks=pytest.mark.faults),
        pytest.param(["ada"] * 8, False, marks=pytest.mark.faults),
    ],
    ids=["two", "eight", "eight of one user's and no experiment"],
)
def test_programs_at_once_lose_nothing_and_none_is_refused(team, connect, tmp_path, users, is_made, capsys):
    experiment = f"of {len(users)} programs" if is_made else "new"
    if is_made:
        team.make_experiment(experiment, *dict.fromkeys(users))
    folders = [tmp_path / str(number) for number, _ in enumerate(users)]
    begun, words = time.monotonic(), [*SWEEP, f"tracking.experiment={experiment}", *team.words()]
    processes = []
    for folder, user in zip(folders, users, strict=True):
        folder.mkdir()
        processes.append(begin(folder, *words, **team.login(user)))
    done = [finish(process, folder, 900) for process, folder in zip(processes, folders, strict=True)]
    seconds = time.monotonic() - begun
    runs, rows, lost = count(team, connect, experiment)
    refused = sum(one.status != 0 for one in done)
    with capsys.disabled():
        print(f"\n{len(users)} programs, {runs} runs, {rows:,} rows, {lost} lost,", end=" ")
        print(f"{refused} refused, {seconds:.0f} s")
    assert [one.err for one in done if one.status != 0] == []
    assert [one.err for one in done if "Traceback" in one.err] == []
    wanted = 4 * len(users)
    assert (runs, rows, lost, refused) == (wanted, wanted * sum(ROWS.values()), 0, 0)
