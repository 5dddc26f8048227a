"""`ratelab preview` as a program; what it draws and refuses is in tests/unit/test_preview.py."""

import re

from support.programs import ratelab


def test_it_draws_in_the_terminal_and_writes_nothing(tmp_path):
    done = ratelab(tmp_path, "preview", "schedule=cosine", "--steps", "100")
    assert (done.status, done.err) == (0, "")
    assert re.search(r"^a  cosine +0\.1 +0\.1 ", done.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_one_message_and_status_1(tmp_path):
    done = ratelab(tmp_path, "preview", "learning_rate=-1")
    message = "learning_rate must be greater than or equal to 0, got -1\n"
    assert (done.status, done.out, done.err) == (1, "", message)
