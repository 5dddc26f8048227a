"""In the kernel of a notebook: the bar, an interrupt, one message for a mistake; and the worked example."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from support import ROOT, SRC
from support.programs import HANGS, Done

pytest.importorskip("jupyter_client", reason="needs the extra notebook: pip install -e '.[notebook]'")

EXAMPLE = ROOT / "examples" / "own_problem.ipynb"
SMALL = '["experiment=quick", "epochs=1"]'


class Kernel:
    """A kernel in a folder of its own, and what it answers."""

    def __init__(self, folder):
        from jupyter_client.manager import start_new_kernel

        self.folder = folder
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", cwd=str(folder), env={**os.environ, "PYTHONPATH": str(SRC)}
        )

    def run(self, code, during=None):
        """Execute a cell; call `during` while it runs; return all that it answered."""
        asked = self.client.execute(code)
        answers = []
        end = time.monotonic() + HANGS
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=HANGS)
            if message["parent_header"].get("msg_id") != asked:
                continue
            answers.append((message["msg_type"], message["content"]))
            if during is not None and during(self, message):
                during = None
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return answers
        raise TimeoutError(code)

    def text(self, code):
        """What a cell printed."""
        return "".join(content["text"] for kind, content in self.run(code) if kind == "stream")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for all tests of this file, as a notebook has one for all of its cells."""
    made = Kernel(tmp_path_factory.mktemp("notebook"))
    assert made.text("import ratelab; print(1)") == "1\n"
    yield made
    made.close()


def errors(answers):
    return [content for kind, content in answers if kind == "error"]


def pages(answers):
    """All HTML that was shown, the bar as often as it moved."""
    kinds = {"display_data", "update_display_data", "execute_result"}
    return [content["data"].get("text/html", "") for kind, content in answers if kind in kinds]


def test_a_mistake_is_one_message_and_no_traceback(kernel):
    [error] = errors(kernel.run("ratelab.sweep(schedule=['fixed', lambda learning_rate: None])"))
    assert error["ename"] == "UserError"
    [line] = error["traceback"]
    assert line.startswith("UserError: schedule must be a function that others can find by its name")
    assert "\n" not in line


def test_a_sweep_shows_one_bar_and_then_its_tables(kernel):
    answers = kernel.run(f"study = ratelab.sweep({SMALL}, schedule=['fixed', 'cosine'], seed=[0, 1])\nstudy")
    assert errors(answers) == []
    *bars, tables = pages(answers)
    assert (
        len({content["transient"]["display_id"] for kind, content in answers if "display_data" in kind}) == 1
    )
    assert all("<progress " in bar for bar in bars)
    assert "0 of 4 runs, 0 of 200 steps, starting" in bars[0]
    assert re.search(r'value="200" max="200".* 4 of 4 runs, 200 of 200 steps, \d+ s</div>', bars[-1])
    assert "<table>" in tables
    assert "no conclusion is possible from 2 seeds" in tables
    assert [content for kind, content in answers if kind == "stream"] == []  # nothing else is printed


def test_it_runs_inside_of_the_event_loop_of_the_kernel(kernel):
    code = f"import asyncio; asyncio.get_running_loop(); print(ratelab.run({SMALL}).metric)"
    assert kernel.text(code) == "accuracy\n"
    await_it = f"await asyncio.to_thread(ratelab.run, {SMALL}); print('in a thread')"
    assert kernel.text(await_it) == "in a thread\n"


def test_two_calls_at_a_time_are_refused(kernel):
    code = f"""
other = asyncio.create_task(asyncio.to_thread(ratelab.sweep, {SMALL}, schedule=['fixed', 'cosine']))
await asyncio.sleep(0.5)
try:
    ratelab.run({SMALL})
except ratelab.UserError as error:
    print(error)
print(len((await other).groups))
"""
    assert kernel.text("import asyncio" + code) == (
        "one call of ratelab.run or ratelab.sweep at a time: wait until the other one ended.\n2\n"
    )


def interrupt(when):
    """Interrupt the kernel, as the button of a notebook does, as soon as `when` holds of the bar."""

    def during(kernel, message):
        if message["msg_type"] == "update_display_data" and when(message["content"]["data"]["text/html"]):
            kernel.manager.interrupt_kernel()
            return True
        return False

    return during


LONG = "schedule=['fixed', 'cosine'], epochs=20000"


@pytest.mark.parametrize(
    ("call", "runs"),
    [
        (f"ratelab.sweep(['experiment=quick', 'hydra.launcher.workers=1'], {LONG})", 2),
        ("ratelab.run(['experiment=quick'], epochs=20000)", 1),
    ],
)
def test_an_interrupt_ends_the_call_as_killed_and_the_kernel_lives(kernel, call, runs):
    def trained(html):
        return int(re.search(r'value="(\d+)"', html)[1]) > 0

    before = {run.info.run_id for run in Done(kernel.folder, 0, "", "").everything}
    begin = time.monotonic()
    [error] = errors(kernel.run(call, interrupt(trained)))
    assert time.monotonic() - begin < HANGS / 3
    assert error["ename"] == "KeyboardInterrupt"
    assert error["evalue"] == "interrupted: a run that had begun is KILLED, with what it had computed"
    done = Done(kernel.folder, 0, "", "")
    own = [run for run in done.everything if run.info.run_id not in before]
    assert {run.info.status for run in own} == {"KILLED"}
    children = [run for run in own if "seed" in run.data.tags]
    assert len(children) == runs
    for run in children:
        assert done.points(run, "learning_rate")[0] == done.steps(run)["step"].tolist()
        assert len(done.steps(run)["step"]) > 0
    left = "import psutil; print([one.pid for one in psutil.Process().children(True) if one.children()])"
    assert kernel.text(f"print({call.partition('(')[0]}.__name__); {left}").startswith(call[8:11])
    assert "fixed" in kernel.text(f"print(ratelab.sweep({SMALL}, schedule=['fixed', 'cosine']))")


def test_a_redefined_function_is_the_one_that_is_trained_with(kernel):
    rates = []
    for factor in (0.5, 0.25):
        kernel.run(
            f"def mine(learning_rate, steps):\n    return lambda step: learning_rate * {factor} + 0 * step"
        )
        code = f"print(ratelab.sweep({SMALL}, schedule=['fixed', mine]).groups.final_rate.min())"
        rates.append(float(kernel.text(code)))
    assert rates == pytest.approx([0.05, 0.025])


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The worked example, executed by nbmake in a folder of its own, and what it gave."""
    folder = tmp_path_factory.mktemp("example")
    path = folder / EXAMPLE.name
    shutil.copy(EXAMPLE, path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--nbmake",
        "--overwrite",
        EXAMPLE.name,
    ]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "PYTEST_ADDOPTS": ""}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(path.read_text())


def outputs(notebook):
    """The outputs of each cell of code: their kinds, and the forms that they have."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[(one["output_type"], sorted(one.get("data", {}))) for one in cell["outputs"]] for cell in cells]


def test_the_example_runs_and_shows_what_its_readers_see(example):
    kept = json.loads(EXAMPLE.read_text())
    assert outputs(example) == outputs(kept)
    sources = [["".join(cell["source"]) for cell in one["cells"]] for one in (example, kept)]
    assert sources[0] == sources[1]


def test_the_example_draws_no_other_conclusion_than_its_text(example):
    def said(notebook):
        text = json.dumps([cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"])
        return re.findall(r"\w+ is (?:better|worse) than \w+|no difference shown between \w+ and \w+", text)

    assert sorted(said(example)) == sorted(said(json.loads(EXAMPLE.read_text())))
    assert len(said(example)) >= 6


def test_the_example_names_no_place_of_a_machine():
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", EXAMPLE.read_text())
