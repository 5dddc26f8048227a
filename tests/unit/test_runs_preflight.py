"""Before a single run: it is planned once, for the body of the job; what cannot start ends in a message."""

import pytest

from ratelab.runs import preflight
from ratelab.runs.planned import PlannedRun
from ratelab.runs.preflight import Preflight
from ratelab.runtime import handover
from ratelab.validation import UserError
from support.composing import composed


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    yield
    handover.take()


def test_what_was_kept_is_taken_once():
    assert handover.take() is None
    handover.keep("a")
    handover.keep("b")
    assert (handover.take(), handover.take()) == ("b", None)


def test_the_planned_run_is_kept_for_the_body_of_the_job():
    config = composed("data=digits", "tracking=none", "schedule=fixed")
    assert Preflight().on_run_start(config, config_name="config") is None
    kept = handover.take()
    assert isinstance(kept, PlannedRun)
    assert kept.is_of(config)
    assert "job" in vars(kept)


def test_a_run_that_cannot_start_ends_the_program_with_one_message_and_nothing_is_kept():
    config = composed("data=digits", "tracking=none", "learning_rate=-1")
    with pytest.raises(SystemExit) as end:
        Preflight().on_run_start(config)
    assert end.value.code == "learning_rate must be greater than or equal to 0, got -1"
    assert handover.take() is None


def test_an_error_of_the_program_is_left_to_hydra(monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(preflight, "prepare_run", fail)
    config = composed()
    with pytest.raises(RuntimeError, match="a bug"):
        Preflight().on_run_start(config)
    assert handover.take() is None


def test_prepare_run_alone_is_what_the_hook_does(monkeypatch):
    seen = []
    monkeypatch.setattr(preflight, "prepare_run", lambda *given: seen.append(given) or "the run")
    config = composed()
    Preflight().on_run_start(config)
    assert seen == [(config, config.hydra)]
    assert handover.take() == "the run"


def test_a_mistake_is_one_line_whatever_refused_it(monkeypatch):
    def refuse(*_):
        raise UserError("the store is busy")

    monkeypatch.setattr(preflight, "prepare_run", refuse)
    config = composed()
    with pytest.raises(SystemExit, match=r"^the store is busy$"):
        Preflight().on_run_start(config)
