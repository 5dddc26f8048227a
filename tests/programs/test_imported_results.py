"""`ratelab compare` on what other programs leave behind: a CSV file, runs of plain MLflow code."""

import csv
import json
import shlex
import shutil
import sys

import pytest

from support import in_process
from support.programs import begin, finish, ratelab
from support.servers import mlflow_server

# What somebody writes who has never heard of ratelab.
PLAIN = """
import contextlib, csv, random, sys
import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("resnet")
rows = []
for seed in range(8):
    luck = random.Random(seed)
    shared = luck.gauss(0, 0.002)
    for schedule, gain in (("step", 0.0), ("cosine", 0.004), ("linear", 0.004)):
        with mlflow.start_run():
            mlflow.log_params({"lr_schedule": schedule, "seed": seed, "lr": 0.1})
            for epoch in range(3):
                accuracy = 0.9 + gain * epoch / 2 + shared + luck.gauss(0, 0.0005)
                mlflow.log_metrics({"test_acc": accuracy, "test_loss": 1 - accuracy}, step=epoch)
        rows.append((schedule, seed, accuracy))
with contextlib.suppress(MemoryError), mlflow.start_run(run_name="broken"):
    mlflow.log_params({"lr_schedule": "step", "seed": 8})
    raise MemoryError
with open("results.csv", "w", newline="") as file:
    csv.writer(file).writerows([("group", "seed", "test_acc"), *rows])
"""
LOGGED = ["--experiment", "resnet", "--group-by", "params.lr_schedule", "--seed", "params.seed"]
BY_ACCURACY = [*LOGGED, "--metric", "test_acc"]


def log_plainly(folder, uri):
    (folder / "plain.py").write_text(PLAIN)
    done = finish(begin(folder, "plain.py", uri, program=[sys.executable]), folder)
    assert done.status == 0, done.err


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder with a store that MLflow itself has made, and the same results as a file."""
    folder = tmp_path_factory.mktemp("plain")
    log_plainly(folder, "sqlite:///mlflow.db")
    return folder


def numbers(done):
    """What JSON has of groups and pairs."""
    assert (done.status, done.err) == (0, "")
    [comparison] = json.loads(done.out)["comparisons"]
    return comparison["groups"], comparison["pairs"]


def test_a_file_and_the_store_say_the_same(plain):
    from_file = ratelab(plain, "compare", "--from", "results.csv")
    assert (from_file.status, from_file.err) == (0, "")
    assert "Imported test_acc, higher is better" in from_file.out
    printed = " ".join(from_file.out.split())
    assert "cosine is better than step: test_acc +0.00" in printed
    assert "no difference shown between" in printed
    assert "that higher is better is taken from the name test_acc; --lower-is-better says" in printed
    assert max(map(len, from_file.out.splitlines())) <= 80
    from_store = ratelab(plain, "compare", "--uri", "sqlite:///mlflow.db", *BY_ACCURACY)
    assert (from_store.status, from_store.err) == (0, "")
    assert from_store.out == from_file.out + "* note: failed, not counted: step seed=8\n"


def test_a_server_and_postgresql_say_the_same(plain, tmp_path, make_database):
    words = ("compare", *BY_ACCURACY, "--format", "json")
    expected = numbers(in_process.ratelab(plain, *words, "--uri", "sqlite:///mlflow.db"))
    (tmp_path / "server" / "mlruns").mkdir(parents=True)
    shutil.copy(plain / "mlflow.db", tmp_path / "server" / "mlruns")
    with mlflow_server(tmp_path / "server") as address:
        assert numbers(in_process.ratelab(tmp_path, *words, "--uri", address)) == expected
    uri = make_database()
    log_plainly(tmp_path, uri)
    assert numbers(in_process.ratelab(tmp_path, *words, "--uri", uri)) == expected


def test_our_own_runs_give_the_same_by_every_way(quick, tmp_path):
    own_groups, own_pairs = numbers(in_process.ratelab(quick.folder, "compare", "--format", "json"))
    ours = ["--experiment", "ratelab", "--group-by", "tags.schedule", "--seed", "params.seed"]
    words = ["compare", *ours, "--metric", "test_accuracy", "--format", "json"]
    rows = [
        (run.data.tags["schedule"], run.data.params["seed"], run.data.metrics["test_accuracy"])
        for run in quick.children.values()
    ]
    with (tmp_path / "a.csv").open("w") as file:
        csv.writer(file).writerows([("group", "seed", "test_accuracy"), *rows])
    for done in (
        in_process.ratelab(quick.folder, *words),
        in_process.ratelab(tmp_path, "compare", "--from", "a.csv", "--format", "json"),
    ):
        groups, pairs = numbers(done)
        of_groups = ("n", "mean", "sd", "low", "high", "interval", "iqm", "worst", "worst_seed", "diverged")
        expected = {row["group"]: [row[key] for key in of_groups] for row in own_groups}
        assert {row["group"]: [row[key] for key in of_groups] for row in groups} == expected
        of_pairs = ("n", "low", "high", "p", "p_holm", "improvement", "verdict")
        # runs come in another order from the file, and with it the first and the second of a pair
        expected = {frozenset((row["first"], row["second"])): row for row in own_pairs}
        for row in pairs:
            own = expected.pop(frozenset((row["first"], row["second"])))
            sign = 1 if own["first"] == row["first"] else -1
            assert row["difference"] == sign * own["difference"]
            if sign == 1:
                assert [row[key] for key in of_pairs] == [own[key] for key in of_pairs]
        assert expected == {}


@pytest.mark.parametrize(("required", "status"), [
    ("cosine > step", 0),
    ("cosine > linear", 1),
    ("step > cosine", 2),
])  # fmt: skip
def test_what_is_required_is_answered_by_the_status(plain, required, status):
    done = ratelab(plain, "compare", "--from", "results.csv", "--require", required)
    assert done.status == status
    assert done.err.startswith(f"{required}: {('shown', 'not shown', 'contrary shown')[status]}. ")


def test_a_loss_turns_the_verdict_around_and_forms_and_baselines_work(plain):
    words = ["compare", "--uri", "sqlite:///mlflow.db", *LOGGED, "--metric", "test_loss"]
    done = in_process.ratelab(plain, *words, "--baseline", "step", "--format", "markdown")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("\n**Imported test_loss, lower is better**\n\n| group ")
    assert "* cosine is better than step: test_loss -0.00" in done.out
    done = in_process.ratelab(plain, *words, "--format", "csv", "--table", "pairs")
    pairs = {(row["first"], row["second"]): row for row in csv.DictReader(done.out.splitlines())}
    assert pairs["cosine", "step"]["verdict"] == "better"


OF_OTHERS = "results of other programs are compared by --from FILE, or by --experiment"
LOSS = f"{' '.join(LOGGED)} --metric test_loss"
MISTAKES = {
    "--from nothing.csv": "--from nothing.csv: No such file or directory.",
    "--from .": "--from .: Is a directory.",
    "--from mlflow.db": "--from mlflow.db: it is not UTF-8; save it as a CSV file in UTF-8.",
    "--from results.csv --metric test_ac": "--from results.csv, line 1, --metric: there is no 'test_ac'; did",
    "--from results.csv --baseline const": "--baseline: there is no 'const'. Known: cosine, linear, step.",
    "--from results.csv --require a>step": "--require: there is no 'a'. Known: cosine, linear, step.",
    "--from results.csv --sweep 1": "--from does not go together with --sweep; leave one of them out.",
    "--from results.csv 0123": "--from does not go together with RUN_ID; leave one of them out.",
    "--from results.csv --uri sqlite:///mlflow.db": "--from does not go together with --uri; leave one",
    "--from results.csv --by lr": "--from does not go together with --by; leave one of them out.",
    "--from '~nobody9/x.csv'": "--from: there is no home folder for '~nobody9/x.csv'",
    "--group-by params.lr": f"{OF_OTHERS}, --group-by, --seed and --metric; not given: --experiment, --seed",
    "--lower-is-better": OF_OTHERS,
    f"{LOSS}es": "--metric: there is no 'test_losses'; did you mean 'test_loss'? Known: test_acc, test_loss.",
    f"{LOSS} --target 1": "--group-by does not go together with --target; leave one of them out.",
    f"{LOSS} --experiment resne": "--experiment: there is no 'resne'; did you mean 'resnet'? Known:",
    f"{LOSS} --seed params.sed": "--seed: there is no 'params.sed'; did you mean 'params.seed'? Known:",
    f"{LOSS} --group-by params.lr": "--group-by: two runs are of 0.1, seed 0, and differ in params.lr_sched",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_message(plain, words):
    of_store = ["--uri", "sqlite:///mlflow.db"] if words.startswith("--experiment") else []
    done = in_process.ratelab(plain, "compare", *of_store, *shlex.split(words))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(MISTAKES[words])
    assert len(done.err.splitlines()) == 1


def test_a_program_says_a_mistake_without_a_traceback(plain):
    (plain / "bad.csv").write_text("group,seed,value\nstep,0,0.5\nstep,1,nan\n")
    done = ratelab(plain, "compare", "--from", "bad.csv", "--higher-is-better")
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "--from bad.csv, line 3: value must be a number, not infinite, got 'nan'; for a run that diverged "
        "write what it is to count as.\n"
    )
