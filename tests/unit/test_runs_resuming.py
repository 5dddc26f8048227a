"""Which folder is meant, and whether what would go on there is what was begun."""

import os

import pytest
from omegaconf import OmegaConf, open_dict

from ratelab.runs import resuming
from ratelab.runs.past import read_past
from ratelab.runs.resuming import (
    ended_jobs,
    find_folder,
    jobs_of,
    journals_below,
    open_journal,
    sweep_of,
)
from ratelab.runs.sweep_identity import identify_sweep, sweep_id_of
from ratelab.validation import UserError
from support.composing import composed

WORDS = ["data=digits", "schedule=fixed", "seed=1"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config_of(*words, folder="multirun/2026-01-01/10-00-00"):
    """As Hydra composes it for a run, whose folder has a time in it."""
    config = composed(*words)
    with open_dict(config.hydra):
        config.hydra.overrides.task = list(words)
        config.hydra.overrides.hydra = []
        for mode in ("run", "sweep"):
            config.hydra[mode].dir = "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}"
    return config, folder


def begin(tmp_path, *words, folder, mode="run", sweep_id=None, ends=False):
    """A program that begins with these words in this folder, and ends there or dies."""
    config, _ = config_of(*words)
    place = tmp_path / folder
    place.mkdir(parents=True)
    journal = open_journal(place, config.hydra, config, mode, sweep_id)
    if ends:
        journal.finish()
    journal.close()
    return place


def wanted(*words, mode="run"):
    return find_folder(config_of(*words)[0], mode)


def test_a_new_run_has_no_folder_yet():
    assert wanted(*WORDS) is None
    assert wanted(*WORDS, "resume=false") is None


def test_the_newest_with_the_same_words_is_meant_whatever_their_order(tmp_path):
    places = [begin(tmp_path, *WORDS, folder=f"multirun/a/{number}") for number in range(3)]
    begin(tmp_path, *WORDS, "epochs=7", folder="multirun/a/other")
    begin(tmp_path, *WORDS, folder="multirun/a/sweep", mode="sweep", sweep_id="id")
    for age, place in enumerate([places[1], places[2], places[0]]):
        os.utime(place / "journal", (1e9 - age, 1e9 - age))
    assert wanted(*reversed(WORDS), "resume=true") == places[1]
    assert wanted(*WORDS, "resume=true", mode="sweep") == tmp_path / "multirun/a/sweep"


def test_a_folder_that_is_named_is_meant(tmp_path):
    place = begin(tmp_path, "seed=7", folder="else/where")
    assert wanted(*WORDS, "resume=else/where") == place


def test_with_nothing_to_go_on_with_it_is_refused(tmp_path):
    with pytest.raises(UserError, match="resume: no run of these words has a journal; begin anew"):
        wanted(*WORDS, "resume=true")
    with pytest.raises(UserError, match="resume: nowhere holds no journal; begin anew"):
        wanted(*WORDS, "resume=nowhere")
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(UserError, match=r"resume: \. holds no journal"):
        wanted(*WORDS, "resume=.")


def test_where_nothing_is_left_to_do_it_is_refused(tmp_path):
    place = begin(tmp_path, *WORDS, folder="multirun/a/b", ends=True)
    with pytest.raises(UserError, match=f"resume: nothing is left to do in {place.relative_to(tmp_path)}"):
        wanted(*WORDS, "resume=true")


@pytest.mark.parametrize("key", ["commit", "local changes", "versions"])
def test_another_program_is_refused_with_the_difference_unless_told(tmp_path, monkeypatch, key):
    describe = resuming._describe_origin
    monkeypatch.setattr(resuming, "_describe_origin", lambda: {**describe(), key: "before"})
    place = begin(tmp_path, *WORDS, folder="multirun/a/b")
    monkeypatch.setattr(resuming, "_describe_origin", lambda: {**describe(), key: "now"})
    config, _ = config_of(*WORDS, "resume=true")
    with pytest.raises(UserError) as error:
        open_journal(place, config.hydra, config, "run", None)
    assert f"resume: {place} was begun otherwise:\n  {key}: before -> now\n" in str(error.value)
    config, _ = config_of(*WORDS, "resume=true", "resume_anyway=true")
    journal = open_journal(place, config.hydra, config, "run", None)
    journal.close()
    assert journal.past.program[key] == "before"  # what it was begun with stays


def test_journals_are_found_the_newest_first(tmp_path):
    for age, folder in enumerate(["multirun/a/b", "multirun", "multirun/c"]):
        place = begin(tmp_path, *WORDS, folder=folder) if folder != "multirun" else tmp_path / "multirun"
        (place / "journal").touch()
        os.utime(place / "journal", (1e9 - age, 1e9 - age))
    found = [str(path) for path in journals_below(tmp_path.relative_to(tmp_path) / "multirun")]
    assert found == ["multirun/a/b", "multirun", "multirun/c"]


def test_a_job_of_a_sweep_goes_on_with_the_sweep_alone(tmp_path):
    sweep = begin(tmp_path, *WORDS, folder="multirun/a/b", mode="sweep", sweep_id="id")
    job = begin(tmp_path, *WORDS, folder="multirun/a/b/c/0", sweep_id="id")
    other = begin(tmp_path, *WORDS, folder="multirun/a/b/d", sweep_id="another")
    alone = begin(tmp_path, *WORDS, folder="multirun/a/b/e")
    for place, above in [(job, sweep), (sweep, sweep), (other, other), (alone, alone)]:
        assert sweep_of(place, read_past(place))[0] == above
    assert [path for path, _ in jobs_of(sweep, read_past(sweep))] == [job]
    assert jobs_of(alone, read_past(alone)) == []
    for mode in ("run", "sweep"):
        with pytest.raises(UserError, match=f"is that of a job of a sweep, and this would be a {mode}; what"):
            wanted(*WORDS, f"resume={job}", mode=mode)


def test_what_has_ended_of_a_sweep_is_in_its_journal_or_in_those_of_its_jobs(tmp_path):
    sweep = begin(tmp_path, *WORDS, folder="a", mode="sweep", sweep_id="id")
    begin(tmp_path, *WORDS, folder="a/0", sweep_id="id")
    for number, place in enumerate([sweep, sweep / "0", sweep / "0"]):
        config, _ = config_of(*WORDS)
        mode = "sweep" if place == sweep else "run"
        journal = open_journal(place, config.hydra, config, mode, "id")
        journal.plan({number: {}}, [[number]])
        if number < 2:
            journal.of(number).note_ended(status="finished", test=None)
        journal.close()
    assert ended_jobs(sweep, read_past(sweep)) == {0, 1}


def test_a_job_that_is_begun_again_goes_on_without_a_word_if_nothing_has_changed(tmp_path, monkeypatch):
    place = begin(tmp_path, *WORDS, folder="a/0", sweep_id="id")
    config, _ = config_of(*WORDS)
    journal = open_journal(place, config.hydra, config, "run", "id")
    journal.close()
    assert journal.past.program["words"] == sorted(WORDS)
    monkeypatch.setattr(resuming, "_describe_origin", lambda: {"versions": "others"})
    with pytest.raises(UserError, match=r"was begun otherwise:\n  versions: .* -> others"):
        open_journal(place, config.hydra, config, "run", "id")


def test_a_new_job_of_a_sweep_that_goes_on_begins(tmp_path):
    config, _ = config_of(*WORDS, "resume=true")
    journal = open_journal(tmp_path, config.hydra, config, "run", "id")
    journal.close()
    assert journal.past.program == {}


def test_a_sweep_that_goes_on_keeps_its_id_and_its_folder_in_every_job(tmp_path):
    place = begin(tmp_path, *WORDS, folder="multirun/a/it's", mode="sweep", sweep_id="the-id")
    config, _ = config_of(*WORDS, "resume=true")
    (place / "multirun.yaml").write_text("x")
    assert identify_sweep(config, place) == ""
    assert sweep_id_of(config.hydra) == "the-id"
    assert config.hydra.sweep.dir == str(place)
    assert [OmegaConf.to_container(config.hydra.overrides.hydra)] == [
        [
            "hydra.callbacks.preflight.sweep_id='the-id'",
            f"hydra.sweep.dir='{tmp_path}/multirun/a/it\\'s'",
            "hydra.job.config.override_dirname.exclude_keys=[resume,resume_anyway]",
        ]
    ]
    assert read_past(place).program["words"] == sorted(WORDS)
