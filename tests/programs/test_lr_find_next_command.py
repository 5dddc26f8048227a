"""What `ratelab lr-find` prints as the next command is read by a shell and composed by Hydra."""

import shlex

import pytest
from omegaconf import OmegaConf

from ratelab.commands.lr_find.command import next_command
from ratelab.commands.lr_find.finding import Question
from ratelab.commands.lr_find.suggestions import Suggestion
from support.in_process import train


@pytest.mark.parametrize(
    ("words", "beginning"),
    [
        (["experiment=quick"], "'experiment=[quick,tuned]' schedule=fixed,exponential"),
        (["experiment=tuned", "data=digits"], "experiment=tuned schedule=fixed,exponential data=digits"),
        (["experiment=toy"], "'experiment=[toy,tuned]' hydra"),  # whose arguments `fixed` does not take
        (
            ["model=mlp", "model.hidden=[8, 9]"],
            "experiment=tuned schedule=fixed,exponential model=mlp 'model.",
        ),
        (["tracking.experiment='two words'"], "experiment=tuned schedule=fixed,exponential 'tracking."),
        (["data.dir='/a b/$c'", "data=mnist"], "experiment=tuned schedule=fixed,exponential 'data.dir="),
    ],
)
def test_the_next_command_can_be_given_to_a_shell_and_is_composed(tmp_path, words, beginning):
    suggested = [Suggestion("steepest", rate, None, None, "") for rate in (1e-5, 200.0)]
    line = next_command(suggested, Question(tuple(words), 1e-5, 100, 60))
    assert line.startswith(f"python src/train.py {beginning}")
    composed = [word for word in shlex.split(line)[2:] if not word.startswith("schedule=")]
    done = train(tmp_path, *composed, "--cfg", "hydra")
    assert (done.status, done.err) == (0, "")
    tuning = OmegaConf.create(done.out).hydra.sweeper.tuning
    assert (tuning.lowest, tuning.highest, tuning.points) == (3e-06, 600, 7)
