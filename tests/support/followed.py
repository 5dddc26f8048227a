"""A page of the documentation as a reader follows it: its files are written and its commands called."""

import os
import re
import subprocess

from support import ROOT
from support.programs import HANGS


def read_blocks(name):
    """Return the text of a page in docs/, and its blocks in their order: a language and what is in it."""
    page = (ROOT / "docs" / name).read_text()
    return page, re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def write(block, folder):
    """Write a block into the file that its first line names."""
    [name] = re.findall(r"\A# (\S+)$", block, re.MULTILINE)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block)


def make_quick(block, quicker):
    """Put what takes seconds in the place of what takes long, as `call` says of it."""
    for pattern, quick in quicker.items():
        block = re.sub(pattern, quick, block)
    return block


def call(block, folder, programs, quicker, **environment):
    """Do the commands of a block, each of which must end well, and return what they printed.

    Args:
        block: lines of a shell.
        folder: where they are done.
        programs: the folder that is looked into first for python and ratelab.
        quicker: patterns, and what takes the place of each: the same commands on a day, not on an evening.
        environment: variables of the commands; None takes one away.
    """
    block = make_quick(block, quicker)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "COLUMNS": "80", **environment}
    done = subprocess.run(
        ["sh", "-eu"],
        input=block,
        cwd=folder,
        env={name: value for name, value in given.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, block + done.stdout + done.stderr
    return done.stdout
