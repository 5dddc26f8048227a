"""Nobody reads what is printed any more: training goes on and is recorded."""

import os
import subprocess
import sys

import pytest

from support import SRC
from support.programs import HANGS, HINT, ONE_WORKER, RATELAB, TRAIN, begin, so_far

PRINTS = """
import os, sys
from ratelab.runtime.outlets import outlive_readers
outlive_readers()
for number in range(3):
    print("a line", flush=True)
print("an error", file=sys.stderr)
print("the last line")
assert os.open({path!r}, os.O_CREAT) > 2
"""
SAID = "Nothing more can be printed; training goes on and is recorded.\n"


@pytest.mark.parametrize(
    ("redirected", "error"),
    [
        ("| true", SAID + "an error\n"),
        (">/dev/full", SAID + "an error\n"),
        (">&-", "an error\n"),
        (">&- 2>&- <&-", ""),
        ("2>/dev/full | cat >/dev/null", ""),
    ],
)
def test_a_program_ends_well_although_nobody_reads(tmp_path, redirected, error):
    script = PRINTS.format(path=str(tmp_path / "a file"))
    command = f'(sleep 0.2; "$@"; echo $? >status) {redirected}'
    done = subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert ((tmp_path / "status").read_text(), done.stderr) == ("0\n", error)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_read_arrives_and_what_is_an_error_at_once(tmp_path, unbuffered):
    script = PRINTS.format(path=str(tmp_path / "a file")) + "sys.stdout.flush(); os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert (done.returncode, done.stderr) == (0, "an error\n")
    assert done.stdout == "a line\n" * 3 + "the last line\n"


def test_a_sweep_of_which_only_the_first_line_is_read_is_recorded(tmp_path):
    words = [*TRAIN, "-m", "experiment=quick", "schedule=fixed,exponential", ONE_WORKER]
    done = subprocess.run(
        ["sh", "-c", '("$@"; echo $? >status) | head -1', "sh", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert ((tmp_path / "status").read_text(), done.stderr) == ("0\n", SAID)
    assert done.stdout == "2 runs, 500 steps; compiling first\n"
    assert {run.info.status for run in so_far(tmp_path).everything} == {"FINISHED"}
    assert len(so_far(tmp_path).everything) == 3


@pytest.mark.parametrize(
    ("redirected", "status", "error"),
    [
        ("| true", "0", ""),
        (">/dev/full", "1", "standard output: No space left on device; the answer is not whole.\n"),
        (">&-", "0", ""),
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["preview", "schedule=cosine", "--steps", "50"],
        ["train", "--help"],
        ["train", "--cfg", "job"],
    ],
    ids=str,
)
def test_a_command_ends_where_its_answer_cannot_be_printed(tmp_path, words, redirected, status, error):
    done = subprocess.run(
        ["sh", "-c", f'("$@"; echo $? >status) {redirected}', "sh", *RATELAB, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert ((tmp_path / "status").read_text(), done.stderr.removesuffix(HINT)) == (f"{status}\n", error)


def test_a_command_that_is_interrupted_says_so_once(tmp_path):
    script = """
import signal, sys
from ratelab.commands import cli
cli.preview.callback = lambda **_: signal.raise_signal(signal.SIGINT)
sys.argv[1:] = ["preview"]
cli.main()
"""
    process = begin(tmp_path, "-c", script, program=[sys.executable], path=SRC)
    _, err = process.communicate(timeout=HANGS)
    assert (process.returncode, err) == (130, "Stopped by SIGINT.\n")
