"""What GitHub, git and other programs read about the project is true of it."""

import re
import tomllib

import pytest
import yaml

from support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(*parts):
    return yaml.safe_load(ROOT.joinpath(*parts).read_text())


def expand(text):
    """Text of the Makefile with its variables put in."""
    variables = dict(re.findall(r"^(\w+) [:?]?= (.*)$", MAKEFILE, re.MULTILINE))
    while "$(" in text:
        text = re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], text)
    return text


def test_the_hooks_are_the_checks_of_make():
    [local] = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    checks = [expand(line.strip()) for line in recipe.splitlines()]
    assert [hook["entry"] for hook in local["hooks"]] == checks
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


def test_the_workflow_runs_what_the_project_has_with_every_python():
    [job] = read(".github", "workflows", "ci.yml")["jobs"].values()
    *_, step = job["steps"]
    assert step["run"] == "bash .ci/run"
    assert (ROOT / ".ci" / "run").is_file()
    assert step["env"] == {"PYTHON": "python${{ matrix.python }}"}
    assert re.search(r"^PYTHON \?= ", MAKEFILE, re.MULTILINE)  # so that the environment's is taken
    said = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if ":: Python ::" in one]
    assert job["strategy"]["matrix"] == {"python": said}
    assert f"Python {said[0]} to {said[-1]}" in (ROOT / "README.md").read_text()
    first, last = (int(version.partition(".")[2]) for version in (said[0], said[-1]))
    assert PROJECT["requires-python"] == f">=3.{first},<3.{last + 1}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_has_no_secret(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    assert "secrets" not in path.read_text()
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert [action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_asks_each_question_once(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    questions = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(questions) == len(set(questions)) >= 3


def test_a_report_of_a_mistake_has_the_command_and_what_doctor_says():
    form = read(".github", "ISSUE_TEMPLATE", "bug.yml")
    required = {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
    assert {"command", "doctor"} <= required


def test_the_files_that_a_form_or_a_template_names_exist():
    texts = [path.read_text() for path in (*FORMS, ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md")]
    named = {name for text in texts for name in re.findall(r"\b[A-Z]+\.md\b", text)}
    assert named == {"CHANGELOG.md", "SECURITY.md"}
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_citation_is_of_this_version():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]


CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()
PINS = {line.partition("==")[0].lower().replace("_", "-") for line in CONSTRAINTS}


def test_what_the_pages_have_installed_exists():
    pages = "".join(page.read_text() for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    extras = set(re.findall(r"pip install '\.\[(\w+)\]'", pages))
    assert {"postgresql", "ray", "slurm"} <= extras <= PROJECT["optional-dependencies"].keys()


@pytest.mark.parametrize("extra", ["dev", "dist"])
def test_what_makes_checks_and_builds_is_pinned(extra):
    wanted = {re.match(r"[\w-]+", one)[0] for one in PROJECT["optional-dependencies"][extra]} - {"ratelab"}
    assert wanted - PINS == set()
