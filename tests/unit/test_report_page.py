"""The report is one page that needs nothing else, says the verdicts first, and reads well anywhere."""

import csv
import io
import itertools
import re
from urllib.parse import unquote

import pytest

from ratelab.comparison import study
from ratelab.report import make_report
from ratelab.report.facts import without_paths
from ratelab.tracking import Recorded
from support.pages import Page
from support.studies import found, plain_study, recorded_study, result, tuned_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:alembic"),
]


@pytest.fixture(scope="module")
def recorded(tracker):
    made = recorded_study(tracker)
    tracker.flush()
    return made


@pytest.fixture(scope="module")
def report(recorded, tracker, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    make_report(recorded, found(), tracker.uri, path)
    return path


def page_of(made, tracker, folder, recorded=None):
    path = folder / "new" / "report.html"
    make_report(made, recorded or found(), tracker.uri, path)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(report):
    return Page(report.read_text(encoding="utf-8"))


def test_it_asks_nothing_of_the_network(report, page):
    addresses = [
        (element["tag"], value)
        for element in page.elements
        for key, value in element.items()
        if key in {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
    ]
    assert addresses
    assert {value.partition(":")[0] if ":" in value else value[0] for _, value in addresses} == {"data", "#"}
    assert page.all("script") + page.all("link") + page.all("iframe") + page.all("img") == []
    styles = "".join(element["text"] for element in page.all("style"))
    styles += "".join(element.get("style") or "" for element in page.elements)
    assert "@import" not in styles
    assert not re.findall(r"url\((?!#)", styles)
    named = set(re.findall(r"https?://[^\s\"'<>]+", report.read_text(encoding="utf-8")))
    assert named == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_its_policy_lets_nothing_run_and_nothing_be_loaded(page):
    """A name that slipped through as markup could do nothing; its own styles are all that it needs."""
    [policy] = [one for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert dict(one.split(" ", 1) for one in policy["content"].split("; ")) == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # what stands before it would not be under it
    assert page.elements.index(policy) < page.elements.index(page.all("style")[0])
    assert not [key for element in page.elements for key in element if key.startswith("on")]


def test_the_verdicts_come_first_with_a_symbol_each(recorded, page):
    marks = [element for element in page.all("span") if element.get("class") == "symbol"]
    pairs = recorded.comparisons[0].pairs
    assert [mark["aria-label"] for mark in marks] == [pair.verdict for pair in pairs]
    assert {mark["text"] for mark in marks if mark["aria-label"] == "better"} <= {"▲"}
    places = [page.place("li", pair.sentence) for pair in pairs]
    assert places == sorted(places, reverse=True)  # the best group is the last one that the study has
    assert (
        max(places) < page.elements.index(page.all("table")[0]) < page.elements.index(page.all("figure")[0])
    )
    for note in (*recorded.notes, *recorded.comparisons[0].notes):
        assert page.place("li", note) < page.elements.index(page.all("table")[0])


def test_each_verdict_has_a_symbol_of_its_own():
    from ratelab.report.figures.dots import SYMBOLS

    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


def test_its_outline_is_that_of_a_document(page):
    headings = [element["tag"] for element in page.elements if re.fullmatch(r"h\d", element["tag"])]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    levels = [int(heading[1]) for heading in headings]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    named = [name for e in page.elements for name in (e.get("aria-labelledby") or "").split()]
    assert set(named) <= set(ids)
    assert page.all("html")[0]["lang"] == "en"
    assert "width=device-width" in page.all("meta")[2]["content"]


def test_tables_have_captions_and_headings_and_scroll_by_themselves(page):
    assert len(page.all("table")) == len(page.all("caption")) == 3
    assert all(element["scope"] in {"row", "col"} for element in page.all("th"))
    around = [element for element in page.all("div") if element.get("class") == "scroll"]
    assert [element["tabindex"] for element in around] == ["0"] * 3
    assert all("div" in table["inside"] for table in page.all("table"))


def test_the_tables_say_what_the_study_says(recorded, page):
    comparison = recorded.comparisons[0]
    cells = [element["text"] for element in page.all("td")]
    for group in comparison.groups:
        assert f"{group.mean:.4f}" in cells
        assert f"{group.interval.low:.4f} to {group.interval.high:.4f}" in cells
        assert f"{group.worst[0]:.4f} ({group.worst[1]})" in cells
    for pair in comparison.pairs:
        assert f"{pair.mean:+.4f}" in cells
        assert f"{pair.effect:+.2f}" in cells
    headings = [element["text"] for element in page.all("th") if element["scope"] == "col"]
    for word in ("seeds", "sd", "IQM", "final rate", "steps", "seconds", "p", "p (Holm)", "effect size"):
        assert word in headings


def test_every_figure_has_a_caption_and_its_data(page):
    assert len(page.all("figure")) == len(page.all("figcaption")) == 5
    links = [element for element in page.all("a") if "download" in element]
    assert len(links) == 5
    for link in links:
        head, _, body = link["href"].partition(",")
        assert head == "data:text/csv;charset=utf-8"
        lines = list(csv.reader(io.StringIO(unquote(body))))
        assert len(lines) > 1
        assert {len(line) for line in lines} == {len(lines[0])}
        assert "\n" not in body


def test_the_linked_differences_are_those_of_the_pairs(recorded, page):
    link = next(e for e in page.all("a") if e.get("download") == "paired-differences.csv")
    lines = csv.DictReader(io.StringIO(unquote(link["href"].partition(",")[2])))
    expected = [d for pair in recorded.comparisons[0].pairs for d in pair.differences]
    assert [float(line["difference"]) for line in lines] == expected


def test_it_names_what_made_the_runs(page):
    facts = " ".join(element["text"] for element in page.all("dd"))
    for words in (
        "0123456789abcdef, with local changes",
        "sha256:abcdef",
        "python 3.11.0, numpy 2.0.0",
        "ratelab",
        "2026-01-02-03-04-05-abcd",
        "train.py -m schedule=fixed,staircase data.dir=…/mnist",
        "18: 17 finished, 1 diverged",
    ):
        assert words in facts
    assert "2023-11-14 22:13:20 to 2023-11-14 22:14:20 UTC" in page.all("header")[0]["text"]


def test_no_path_and_no_password_is_in_it(report, tracker):
    text = report.read_text(encoding="utf-8")
    assert "/home/me" not in text
    assert str(report.parent) not in text
    assert tracker.uri.removeprefix("sqlite:///") not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.dir=/x", "a.dir=…/x"),
        ("a.dir=~/me/x b=1/2", "a.dir=…/x b=1/2"),
        (r"a.dir=C:\Users\me\x", "a.dir=…/x"),
        ("a='[/home/me/x,/home/me/y]'", "a='[…/x,…/y]'"),
        ("schedule=fixed model=mlp", "schedule=fixed model=mlp"),
        ("uri=postgresql://me:hush@host/db", "uri=postgresql://me:***@host/db"),
        ("uri=http://127.0.0.1:5000", "uri=http://127.0.0.1:5000"),
        ("uri=sqlite:////tmp/me/a.db", "uri=sqlite:///…/a.db"),
        ("uri=sqlite:///mlruns/a.db", "uri=sqlite:///mlruns/a.db"),
    ],
)
def test_paths_are_cut_to_their_last_part(text, expected):
    assert without_paths(text) == expected


def test_names_are_text_and_not_markup(tracker, tmp_path):
    name = "<script>alert('1')</script>&amp;\"$x^2$"
    page = page_of(plain_study([name, "b"]), tracker, tmp_path, Recorded("1", (), name))
    assert page.all("script") == []
    cells = [element["text"] for element in page.all("th") + page.all("td")]
    assert cells.count(name) == 3
    assert name in page.all("h1")[0]["text"]
    assert name in page.all("title")[0]["text"]


def test_a_tuned_study_says_both(tracker, tmp_path):
    made = tuned_study()
    page = page_of(made, tracker, tmp_path)
    titles = [element["text"] for element in page.all("h3")]
    for title in ("Test accuracy, the same base rate 0.1", "Test accuracy, each at its best base rate"):
        assert titles.count(title) == 3  # verdicts, tables, figures
    assert page.all("h1")[0]["text"] == "fixed and staircase on digits"
    best = [element["text"] for element in page.all("td") if element.get("class") == "marked"]
    assert best == ["0.7717", "0.7717"]  # (0.8 + 0.81) / 2 - 0.1 / 3
    assert "yes, the highest" in [element["text"] for element in page.all("td")]
    assert len(page.all("figure")) == 2 * 3 + 1  # nothing is in the store: no rates, no losses


def test_nothing_to_compare_is_said(tracker, tmp_path):
    text = page_of(study([]), tracker, tmp_path).all("main")[0]["text"]
    assert "No run has ended yet" in text
    tuning = study([result("fixed", 0, test="False")])
    assert "nothing was judged on the test split" in page_of(tuning, tracker, tmp_path).all("main")[0]["text"]
    alone = page_of(plain_study(["a"]), tracker, tmp_path)
    assert "nothing to compare it with" in alone.all("main")[0]["text"]


@pytest.mark.parametrize("groups", [2, 20])
def test_one_seed_or_many_groups_make_a_page(groups, tracker, tmp_path):
    page = page_of(plain_study([f"schedule{n}" for n in range(groups)], [0]), tracker, tmp_path)
    assert "no conclusion is possible from one seed" in page.all("main")[0]["text"]
    assert len(page.all("figure")) == 3


def test_the_same_study_gives_the_same_page(recorded, tracker, report, tmp_path):
    again = tmp_path / "again.html"
    make_report(recorded, found(), tracker.uri, again, tmp_path / "figures")
    assert again.read_bytes() == report.read_bytes()
    assert len(list((tmp_path / "figures").iterdir())) == 10
