"""Whether what is required is shown, and what is said where it cannot be asked."""

import pytest

from ratelab.comparison import Result, study
from ratelab.comparison.requirements import check_requirement
from ratelab.tasks import Outcome
from ratelab.validation import UserError

ACCURACIES = {"fixed": 0.5, "cosine": 0.75, "rex": 0.5}


def found(outcome=None, baseline=None, **values):
    """The study of groups whose seeds differ by the same; rex is now better and now worse than fixed."""
    values = values or ACCURACIES
    runs = []
    for name, value in values.items():
        for seed in range(8):
            shift = seed / 1000 + (0.01 * (-1) ** seed if name == "rex" else 0)
            more = {} if outcome is None else {"outcome": outcome}
            metric = "accuracy" if outcome is None else outcome.metric
            test = {metric: value + shift}
            runs.append(Result(seed, {"schedule": name}, status="finished", test=test, **more))
    return study(runs, baseline=baseline)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("cosine > fixed", "shown"),
        ("fixed > cosine", "contrary shown"),
        (" cosine>fixed ", "shown"),
        ("rex > fixed", "not shown"),
        ("fixed > rex", "not shown"),
    ],
)
def test_it_is_shown_or_not_or_the_contrary_is(text, answer):
    said, sentence = check_requirement(found(), text)
    assert said == answer
    assert sentence.startswith(("cosine is better than fixed", "no difference shown between rex and fixed"))


def test_better_is_less_where_the_metric_says_so():
    rmse = found(Outcome("rmse", higher_is_better=False), fixed=3.0, cosine=2.0)
    assert check_requirement(rmse, "cosine > fixed")[0] == "shown"


@pytest.mark.parametrize(
    "text", ["", ">", "cosine", "cosine >", "> fixed", "a > b > c", "fixed > fixed", "a < b"]
)
def test_another_text_is_refused(text):
    with pytest.raises(UserError, match="--require must name two groups, as 'cosine > fixed', got"):
        check_requirement(found(), text)


def test_a_group_that_is_not_there_is_named():
    with pytest.raises(UserError, match="--require: there is no 'cosin'; did you mean 'cosine'"):
        check_requirement(found(), "cosin > fixed")


def test_groups_that_are_not_compared_are_named():
    with pytest.raises(
        UserError, match="cosine and rex are not compared with each other; give --baseline rex"
    ):
        check_requirement(found(baseline="fixed"), "cosine > rex")
