"""Twenty runs of many kinds, alone and in stacks, trained again in new processes from the store alone."""

from collections import Counter

import pytest

from support.programs import HANGS, RATELAB, SRC, begin, finish, is_parent

pytestmark = pytest.mark.faults

STACKED = "hydra.launcher.workers=1"
SWEEPS = [
    f"model=mlp optimizer=adam schedule=fixed,one_cycle,plateau,cosine {STACKED}",
    "model=softmax batch=growing batch.decay_steps=20 optimizer.momentum=0.9 "
    f"schedule=fixed,exponential,wsd,rex {STACKED}",
    f"model=mlp optimizer=muon schedule=cyclic,polynomial,inverse_time {STACKED}",
    "model=mlp model.dropout=0.2 optimizer=rmsprop learning_rate=0.001 "
    "schedule=cosine_restarts,linear_to_zero",
    "model=cnn model.dropout=0.3 schedule=fixed,staircase epochs=2",
]
SINGLE = [
    "model=softmax schedule=plateau schedule.patience=1 schedule.factor=0.5 schedule.min_delta=0.1",
    "model=mlp optimizer=schedule_free_adamw schedule=fixed learning_rate=0.0025 batch=growing "
    "batch.decay_steps=30",
    "model=cnn optimizer=nadam schedule=one_cycle warmup=linear warmup.steps=20 device.threads=2 epochs=2",
    "model=mlp optimizer=lion schedule=natural_exp learning_rate=0.001 test=false seed=4294967295",
    # it diverges
    "model=mlp optimizer=sgd optimizer.nesterov=true optimizer.momentum=0.9 learning_rate=1e25",
]


def at_a_time(folders, commands, program):
    """Run programs two at a time."""
    done = []
    for first in range(0, len(commands), 2):
        some = list(zip(folders, commands, strict=True))[first : first + 2]
        processes = [begin(folder, *words, program=program, path=SRC) for folder, words in some]
        done += [finish(process, folder, HANGS) for process, (folder, _) in zip(processes, some, strict=True)]
    return done


def test_twenty_runs_are_identical(tmp_path_factory, capsys):
    commands = [["train", "-m", "experiment=quick", *words.split()] for words in SWEEPS]
    commands += [["train", "experiment=quick", *words.split()] for words in SINGLE]
    folders = [tmp_path_factory.mktemp("recorded") for _ in commands]
    recorded = at_a_time(folders, commands, RATELAB)
    assert [done.status for done in recorded] == [0] * 9 + [1]
    runs = [(done.folder, run) for done in recorded for run in done.everything if not is_parent(run)]
    replays = [["replay", run.info.run_id] for _, run in runs]
    replayed = at_a_time([folder for folder, _ in runs], replays, RATELAB)
    with capsys.disabled():
        for (_, run), done in zip(runs, replayed, strict=True):
            print("\n", run.data.tags["model"], run.info.run_name, run.data.tags.get("stack", ""), end=": ")
            print(done.out.splitlines()[-1] if done.out else done.err, end="")
    assert Counter((done.status, done.err) for done in replayed) == {(0, ""): 20}
    assert {done.out.splitlines()[-1].partition(",")[0] for done in replayed} == {"identical"}
    sizes = Counter(run.data.tags.get("stack", "").count(",") + 1 for _, run in runs)
    assert sizes == {1: 9, 3: 3, 4: 8}
