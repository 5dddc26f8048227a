"""`import ratelab` in a fresh interpreter: the numbers of the command line, nothing started twice."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from support import SRC
from support.programs import HANGS, QUICK, Done, is_parent

# Without `if __name__ == "__main__"`: scripts that people write have none.
CALLS = f"""
import sys, ratelab
ratelab.sweep
loaded = [name for name in ("tensorflow", "mlflow", "scipy", "matplotlib.pyplot") if name in sys.modules]

import json, logging, os, psutil
from hydra.core.global_hydra import GlobalHydra
from multiprocessing import forkserver

logging.basicConfig(level=logging.WARNING, handlers=[logging.NullHandler()])
handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
before = os.getcwd()

first = ratelab.sweep({QUICK[1:]!r})
imported, server = "tensorflow" in sys.modules, forkserver._forkserver._forkserver_pid
second = ratelab.sweep({QUICK[1:3]!r}, schedule=["fixed", "exponential", "staircase"], seed=range(2))
same = server == forkserver._forkserver._forkserver_pid
left = [child for child in psutil.Process().children(recursive=True) if "worker" in " ".join(child.cmdline())]
assert logging.getLogger().handlers == handlers and logging.getLogger().level == level
assert not GlobalHydra.instance().is_initialized() and os.getcwd() == before

columns = ["group", "n", "mean", "low", "high", "sd", "worst"]
assert first.groups[columns].equals(second.groups[columns]) and first.verdicts == second.verdicts
assert first.pairs.drop(columns="comparison").equals(second.pairs.drop(columns="comparison"))
again = ratelab.compare(sweep=first.sweep_id)
assert again.groups[columns].equals(first.groups[columns]) and again.verdicts == first.verdicts

run = ratelab.run(schedule="staircase", seed=1, experiment="quick")
twice = ratelab.run(["experiment=quick"], schedule="staircase", seed=1)
assert run.learning_rate.tobytes() == twice.learning_rate.tobytes()
assert run.train_loss.tobytes() == twice.train_loss.tobytes() and run.value == twice.value

print(json.dumps({{
    "loaded": loaded, "imported": imported, "same": same, "left": len(left), "tables": str(first),
    "sweep": first.sweep_id, "report": str(first.report), "runs": first.runs.run_id.tolist(),
    "statuses": first.runs.status.tolist(), "verdicts": first.verdicts, "run": run.run_id,
    "rates": run.learning_rate.tolist(), "losses": run.train_loss.tolist(), "value": run.value,
    "validation": run.validation.to_dict("list"), "figures": [one.title for one in first.plot()],
    "html": first._repr_html_(), "drawn": first.plot()._repr_html_(), "text": repr(run), "uri": first.uri,
}}))
"""


def python(folder, script, **environment):
    """Run a script of the user's, with ratelab on its path."""
    (folder / "script.py").write_text(script)
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SRC), **environment},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """What the calls gave, and the store that they left."""
    folder = tmp_path_factory.mktemp("called")
    done = python(folder, CALLS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), Done(folder, 0, done.stdout, done.stderr)


def test_importing_it_imports_nothing_that_takes_time(called):
    assert called[0]["loaded"] == []


def test_a_sweep_imports_no_tensorflow_here_and_starts_its_processes_once(called):
    given, _ = called
    assert (given["imported"], given["same"], given["left"]) == (False, True, 0)


def test_every_step_of_every_run_is_that_of_the_command_line_to_the_bit(called, quick):
    given, done = called
    ours = {run.info.run_id: run for run in done.everything}
    mine = {ours[run_id].info.run_name: ours[run_id] for run_id in given["runs"]}
    assert set(mine) == set(quick.children)
    for name, run in quick.children.items():
        steps, expected = done.steps(mine[name]), quick.steps(run)
        for column in ("step", "learning_rate", "train_loss", "batch_size"):
            np.testing.assert_array_equal(steps[column], expected[column])
        results = {key: value for key, value in run.data.metrics.items() if key != "train_seconds"}
        assert {key: mine[name].data.metrics[key] for key in results} == results
        assert mine[name].data.tags["config_digest"] == run.data.tags["config_digest"]


def test_the_tables_are_those_that_the_command_line_prints(called, quick):
    text = called[0]["tables"]
    bare = [line.rstrip() for line in text.splitlines() if "|" not in line]
    printed = [line.rstrip() for line in quick.out.splitlines()]
    # all but what takes another time each time
    timed = [line for line in bare if line not in printed]
    assert called[0]["verdicts"]
    assert len(timed) <= 8
    assert all(verdict.split(":")[0] in " ".join(quick.out.split()) for verdict in called[0]["verdicts"])


def test_a_single_run_returns_its_arrays(called):
    given, done = called
    run = next(run for run in done.everything if run.info.run_id == given["run"])
    steps = done.steps(run)
    np.testing.assert_array_equal(np.float32(given["rates"]), steps["learning_rate"])
    np.testing.assert_array_equal(np.float32(given["losses"]), steps["train_loss"])
    assert given["value"] == run.data.metrics["test_accuracy"]
    where, losses = done.points(run, "val_loss")
    assert given["validation"]["step"] == where
    np.testing.assert_array_equal(np.float32(given["validation"]["loss"]), losses)
    assert given["text"].startswith("<staircase seed=1: test accuracy ")


def test_what_was_called_and_where_is_recorded(called):
    given, done = called
    runs = {run.info.run_id: run for run in done.everything}
    tags = runs[given["runs"][0]].data.tags
    assert tags["command"].startswith("ratelab.sweep experiment=quick ")
    assert tags["sweep_id"] == given["sweep"]
    assert tags.get("mlflow.source.git.commit", "") == ""  # the folder is in no checkout
    assert runs[given["run"]].data.tags["command"].startswith("ratelab.run ")
    assert sorted(given["statuses"]) == ["finished"] * 6
    assert len([run for run in done.everything if is_parent(run)]) == 2


def test_it_draws_the_figures_of_the_report(called):
    given, done = called
    assert "Learning rate at every step" in given["figures"]
    assert given["drawn"].count("<svg ") == len(given["figures"]) >= 4
    assert (done.folder / "multirun").is_dir()
    assert given["report"].endswith("report.html")
    assert given["uri"] == done.store


MISTAKES = {
    "an option that there is not": (
        "ratelab.run(schedule='exponental')",
        "Did you mean schedule=exponential?",
    ),
    "an override that Hydra refuses": ("ratelab.run(['schedule=[cosine'])", "schedule="),
    "a key that there is not": ("ratelab.sweep(epoch=3)", "Did you mean epochs?"),
    "a value out of bounds": ("ratelab.run(epochs=0)", "epochs must be greater than 0, got 0"),
    "several values for one run": ("ratelab.run(schedule=['fixed', 'cosine'])", "ratelab.sweep"),
    "what searches": ("ratelab.sweep(['hydra/sweeper=optuna'], seed=[0, 1])", "for the command line"),
    "more runs than there can be": ("ratelab.sweep(seed=range(10**9))", "a sweep has at most 10,000 runs"),
    "a function with the name of an option": (
        "ratelab.sweep(schedule=['fixed', cosine])",
        "conf has an option of that name, and your function is another one",
    ),
    "a list that is no list": ("ratelab.run('schedule=cosine')", "must be a list of texts"),
    "a lambda": ("ratelab.sweep(schedule=['fixed', lambda learning_rate: None])", "write it with `def`"),
    "arrays of different lengths": (
        "ratelab.sweep(data=([[1.0], [2.0]], [0]), schedule=['fixed', 'cosine'])",
        "x and y must be equally many, got 2 and 1.",
    ),
    "arrays that do not fit the model": (
        "ratelab.sweep(data=(numpy.ones((40, 3)), [0, 1] * 20), model='cnn', schedule=['fixed', 'cosine'])",
        "model: cnn: filters must be at most 1 for examples of (3,)",
    ),
    "a store that is not there": ("ratelab.compare()", "there is no store at"),
    "two ways to name runs": ("ratelab.compare(['a'], sweep='b')", "give one of them"),
    "a schedule that there is not": ("ratelab.schedule('cosin', learning_rate=1, steps=9)", "Did you mean"),
    "several schedules": ("ratelab.schedule('cosine,wsd', learning_rate=1, steps=9)", "one at a time"),
    "no steps": ("ratelab.schedule('cosine', learning_rate=1, steps=0)", "steps must be"),
    "a configuration that there is not": ("ratelab.run(config_name='nowhere')", "nowhere"),
    "a folder that there is not": (
        "ratelab.run(config_dir='nowhere')",
        "config_dir must be a folder, got 'nowhere'",
    ),
    "what lies in no package of the user's": (
        "ratelab.sweep(['schedule._target_=os.system'], seed=[0, 1])",
        "must start with one of",
    ),
}


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """What each mistake is answered with, in one interpreter, and what was written meanwhile."""
    folder = tmp_path_factory.mktemp("mistakes")
    calls = "\n".join(
        f"try:\n    {code}\nexcept ratelab.UserError as error:\n    said[{name!r}] = str(error)"
        for name, (code, _) in MISTAKES.items()
    )
    taken = "def cosine(learning_rate, steps): ..."
    end = "said['tensorflow'] = 'tensorflow' in sys.modules\nprint(json.dumps(said))"
    script = f"import json, os, sys, numpy, ratelab\nsaid = {{}}\n{taken}\n{calls}\n{end}"
    done = python(folder, script)
    assert done.returncode == 0, done.stderr
    assert not (folder / "mlruns").exists()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_message_and_nothing_is_recorded(messages, name):
    assert name in messages, "nothing was raised"
    assert MISTAKES[name][1] in messages[name]
    assert "Traceback" not in messages[name]
    of_hydra = messages[name].startswith(
        ("In 'config'", "Cannot find", "Could not")
    )  # they list what there is
    assert of_hydra or len(messages[name].splitlines()) == 1


def test_no_mistake_needs_tensorflow(messages):
    assert messages["tensorflow"] is False


OWN = """
import ratelab, threading

OFFSET = 0.5
held = threading.Lock()

def tiny(input_shape, outputs):
    import keras
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(outputs)])

def slow(learning_rate, steps):
    return lambda step: learning_rate * OFFSET + 0 * step

def unsendable(learning_rate, steps):
    held.locked()
    return lambda step: learning_rate + 0 * step

words = ["experiment=quick", "epochs=1"]
study = ratelab.sweep(words, model=tiny, schedule=["fixed", slow], seed=[0, 1])
print(study.groups[["group", "final_rate"]].to_dict("list"))

def slow(learning_rate, steps):
    return lambda step: learning_rate * 0.25 + 0 * step

print(ratelab.sweep(words, model=tiny, schedule=["fixed", slow], seed=[0, 1]).groups["final_rate"].tolist())
print(ratelab.run(words, model=tiny, schedule=slow).learning_rate[:2].tolist())
try:
    ratelab.sweep(words, schedule=["fixed", unsendable])
except ratelab.UserError as error:
    print(error)
"""


def test_functions_of_a_script_are_trained_with_as_they_are_at_each_call(tmp_path):
    done = python(tmp_path, OWN)
    assert done.returncode == 0, done.stderr
    groups, again, rates, refused = done.stdout.splitlines()[-4:]
    assert "'slow'" in groups
    assert "0.05" in groups
    assert "0.025" in again
    assert rates == str([float(np.float32(0.025))] * 2)
    assert refused.startswith("__main__.unsendable: the processes that train get it with all that it uses")
    assert "make it inside of the function" in refused
    done = Done(tmp_path, 0, "", "")
    kept = [run for run in done.everything if run.data.tags.get("schedule") == "slow"]
    texts = {done.artifact(run, "functions.py").read_text() for run in kept}
    assert len(texts) == 2
    assert all("def slow(learning_rate, steps):" in text and "def tiny(" in text for text in texts)
