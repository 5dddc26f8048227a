"""What a fresh interpreter has imported when it starts, looks, or refuses."""

import os
import signal
import subprocess
import sys

import pytest

from support import SRC
from support.programs import HANGS

PACKAGE = SRC / "ratelab"
HEAVY = {"tensorflow", "keras", "mlflow"}
# Hydra imports the plugins, and the callback in preflight, at every start.
STARTS = [
    "train",
    "ratelab.commands.cli",
    "ratelab.runs.preflight",
    *sorted(f"hydra_plugins.{path.stem}" for path in (SRC / "hydra_plugins").glob("*.py")),
]


def printed(script):
    """What a fresh interpreter prints, and nothing else."""
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def loaded_by(*modules):
    """The heavy packages that a fresh interpreter has loaded after importing `modules`."""
    return printed(f"import sys, {', '.join(modules)}; print(*sorted({HEAVY!r} & set(sys.modules)))")


@pytest.mark.parametrize("module", STARTS)
def test_a_start_waits_neither_for_tensorflow_nor_for_mlflow(module):
    assert loaded_by(module) == []


def test_no_module_imports_them_before_they_are_used():
    whose_import_is_their_work = {PACKAGE / "__main__.py", PACKAGE / "sweeps" / "preload.py"}
    built_on_keras = {PACKAGE / "layers.py"}
    files = sorted(set(PACKAGE.glob("**/*.py")) - whose_import_is_their_work - built_on_keras)
    names = [".".join(path.relative_to(SRC).with_suffix("").parts) for path in files]
    assert loaded_by(*(name.removesuffix(".__init__") for name in names)) == []


def test_a_preview_needs_neither_tensorflow_nor_mlflow_nor_the_data():
    script = (
        "import sys; from ratelab.commands.preview.rates import curves; curves(['schedule=glob(*)']); "
        "print(*{'tensorflow', 'keras', 'mlflow', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    assert printed(script) == []


def test_tensorflow_comes_without_what_is_not_used_which_can_be_imported_later():
    unused = {"sklearn", "matplotlib", "IPython", "scipy", "jax"}
    script = (
        "import sys; from ratelab.runtime.devices import import_tensorflow; import_tensorflow()\n"
        f"print(*{unused!r} & set(sys.modules)); import sklearn, matplotlib, IPython, scipy"
    )
    assert printed(script) == []


def test_a_comparison_does_not_wait_for_scipy(tmp_path):
    rows = [f"{group},{seed},0.9{seed}" for group in "ab" for seed in range(6)]
    (tmp_path / "results.csv").write_text("\n".join(["group,seed,value", *rows]))
    words = ["compare", "--from", "results.csv", "--higher-is-better"]
    command = [sys.executable, "-X", "importtime", "-m", "ratelab", *words]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "ratelab.comparison.statistics" in imported
    assert "scipy" not in imported


def test_lr_find_finds_a_mistake_before_tensorflow_is_imported():
    script = (
        "import sys; from ratelab.commands.lr_find.finding import Question, find\n"
        "from rich.console import Console\n"
        "try: find(Question(('model=softmax', 'model.stat=1'), 1e-5, 1, 50), Console())\n"
        "except Exception as error: print(type(error).__name__, 'tensorflow' in sys.modules)"
    )
    assert printed(script) == ["UserError", "False"]


@pytest.mark.parametrize(
    "program", [[str(SRC / "train.py")], ["-m", "ratelab", "compare"]], ids=["train", "ratelab"]
)
def test_ctrl_c_while_a_program_imports_ends_it_as_the_system_does(program):
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *program],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    ) as process:
        for line in process.stderr:
            if line.endswith((" omegaconf\n", " click\n")):
                break
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=HANGS)[1]
    assert process.returncode == -signal.SIGINT
    assert [line for line in err.splitlines() if not line.startswith("import time:")] == []
