"""The command `ratelab`: training, and what is done before runs and after them."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ratelab.commands.doctor import doctor
from ratelab.commands.figure_files import refuse_unwritable
from ratelab.commands.lr_find import lr_find
from ratelab.commands.options import HomePath
from ratelab.commands.preview import preview
from ratelab.commands.replay import replay
from ratelab.commands.resume import resume
from ratelab.commands.sync import sync
from ratelab.runtime.outlets import answered, open_closed
from ratelab.runtime.passwords import without_password
from ratelab.runtime.signals import Terminated, plain_endings
from ratelab.tracking import is_served
from ratelab.tracking.links import STORE

if TYPE_CHECKING:
    from ratelab.comparison import Study
    from ratelab.tracking import Recorded

FORMATS = ("table", "json", "csv", "markdown")
WRITABLE = HomePath(dir_okay=False, writable=True, path_type=Path)
FILE = HomePath(readable=False, path_type=Path)  # that it can be read is seen when it is
FOLDER = HomePath(file_okay=False, path_type=Path)
TABLES = ("groups", "pairs", "tuning", "sensitivity")


class _Commands(click.Group):
    """A group that leaves it to `plain_endings` to say which signal ended it; click would say "Aborted!"."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; end the program with the status of a signal."""
        try:
            return super().invoke(ctx)
        except Terminated as stop:
            sys.exit(128 + stop.number)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ratelab", prog_name="ratelab")
def commands() -> None:
    """Train under learning-rate schedules, and look at recorded runs and at schedules."""


commands.add_command(preview)
commands.add_command(lr_find)
commands.add_command(resume)
commands.add_command(sync)
commands.add_command(doctor)
commands.add_command(replay)


@commands.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def train(words: tuple[str, ...]) -> None:
    """Train, one run or with -m a sweep, as Hydra reads the words: `ratelab train --help`."""
    from ratelab.commands.train import main

    sys.argv[:] = ["ratelab train", *words]
    main()


@commands.command()
@click.argument("folder", type=HomePath(path_type=Path))
def init(folder: Path) -> None:
    """Write a project of your own into a new FOLDER: data, a model and a schedule to begin with."""
    from ratelab.commands.project import write_project

    write_project(folder)
    click.echo(
        f"{folder}: begin with its README.md, or with: cd {shlex.quote(str(folder))} && python train.py"
    )


@commands.command()
@click.option("--uri", default=STORE, show_default=True, help="The store, as in tracking.uri.")
@click.option(
    "--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Where to listen."
)
@click.option("--sweep", "sweep_id", help="The sweep to link to; by default the newest.")
def ui(uri: str, port: int, sweep_id: str | None) -> None:
    """Start MLflow's UI on this machine only, and print the links that open the comparison.

    Of a store behind a server only the links are printed: it has a UI of its own.
    """
    from ratelab.commands.serving import listens, print_links, serve
    from ratelab.tracking import find_runs, find_store

    if not is_served(uri) and listens(port):
        raise click.UsageError(f"--port: {port} is in use on this machine; give another one.")
    store = find_store(uri, Path.cwd())
    runs = find_runs(store, sweep_id)
    if is_served(store):
        print_links(runs, without_password(store))
    else:
        serve(store, port, runs)


def _add_selection(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments that say which runs are compared, and how."""
    # Decorators are applied from the last to the first, and the help lists the options in this order.
    for add in reversed(
        [
            click.argument("run_ids", nargs=-1, metavar="[RUN_ID]..."),
            click.option("--uri", default=STORE, show_default=True, help="The store, as in tracking.uri."),
            click.option("--sweep", "sweep_id", help="The sweep to compare; by default the newest."),
            click.option("--experiment", help="Compare all runs of an experiment of MLflow's."),
            click.option(
                "--by", help="Keys that make the groups, as schedule,epochs; default: all that varied."
            ),
            click.option("--baseline", help="Compare every group with this one."),
            click.option(
                "--metric",
                help="Judge by this one: test_NAME, val_NAME, or steps_, examples_ or seconds_to_target.",
            ),
        ]
    ):
        command = add(command)
    return command


_add_target = click.option(
    "--target", metavar="VALUE", help="In validation, or 5%: the best mean made worse by 5 %."
)


@commands.command()
@_add_selection
@_add_target
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Of the output."
)
@click.option(
    "--table", type=click.Choice(TABLES), default="groups", show_default=True, help="For --format csv."
)
@click.option(
    "--require", metavar="'A > B'", help="Status 0 if A is shown to be better, 1 if not, 2 if B is."
)
@click.option("--from", metavar="FILE", type=FILE, help="Compare what a CSV file holds: group,seed,value.")
@click.option(
    "--group-by",
    metavar="KEYS",
    help="Compare runs of other programs: params.KEY,tags.KEY; with --experiment, --seed, --metric.",
)
@click.option("--seed", metavar="KEY", help="What holds the seed of such a run, as params.seed.")
@click.option(
    "--higher-is-better/--lower-is-better",
    "higher",
    default=None,
    help="With --from or --group-by: of a metric whose name does not tell.",
)
def compare(form: str, table: str, require: str | None, **selection: Any) -> None:
    """Compare groups of runs, paired by seed: means, intervals, tests, verdicts."""
    from ratelab.comparison.requirements import check_requirement
    from ratelab.report import as_csv, as_json, as_markdown, print_study

    found = _select_imported(selection) or _select_study(**selection)[2]
    answer = None if require is None else check_requirement(found, require)
    if form == "table":
        print_study(Console(), found)
    elif form == "markdown":
        click.echo(as_markdown(found), nl=False)
    elif form == "csv":
        click.echo(as_csv(found, table), nl=False)
        for run in found.unreadable:  # a table has no place for notes
            click.echo(f"cannot be read, left out: {run.name}: {run.reason}", err=True)
    else:
        click.echo(as_json(found))
    if answer is not None:
        click.echo(f"{require}: {answer[0]}. {answer[1]}", err=True)
        sys.exit(("shown", "not shown", "contrary shown").index(answer[0]))


@commands.command()
@_add_selection
@click.option(
    "--difference", type=float, required=True, help="That is to be shown, in units of the metric: 0.002."
)
def plan(difference: float, **selection: Any) -> None:
    """Say how many seeds show a difference, and what they cost, from a recorded sweep as a pilot."""
    from ratelab.commands.plan import print_plan

    _, _, found = _select_study(**selection)
    print_plan(Console(), found, difference)


@commands.command()
@_add_selection
@_add_target
@click.option("--output", default="report.html", show_default=True, type=WRITABLE, help="The HTML file.")
@click.option("--figures", type=FOLDER, help="Also write each figure (.svg) and its numbers (.csv) there.")
def report(output: Path, figures: Path | None, **selection: Any) -> None:
    """Write the comparison as one HTML file: verdicts, tables, figures with their numbers."""
    from ratelab.report import make_report

    store, runs, found = _select_study(**selection)
    with refuse_unwritable("--output" if figures is None else "--output, --figures"):
        make_report(found, runs, store, output, figures)
    click.echo(f"{output}: {runs.title}, {len(runs.runs)} runs")


def _select_imported(options: dict[str, Any]) -> "Study | None":
    """Return what results of other programs say; None where our own are asked for, by what then is left."""
    foreign = {key: options.pop(key) for key in ("from", "group_by", "seed", "higher")}
    if all(value is None for value in foreign.values()):
        return None
    from ratelab.commands.imported import read_imported

    return read_imported({**options, **foreign})


def _select_study(
    uri: str,
    run_ids: Sequence[str],
    sweep_id: str | None,
    experiment: str | None,
    by: str | None,
    **options: Any,
) -> "tuple[str, Recorded, Study]":
    """Return the store, the runs that the options name, and what they say."""
    from ratelab.commands.recorded_study import read_study
    from ratelab.tracking import find_store

    if sum(bool(one) for one in (run_ids, sweep_id, experiment)) > 1:
        raise click.UsageError("give run ids, --sweep or --experiment, one of them.")
    store = find_store(uri, Path.cwd())
    keys = None if by is None else by.split(",")
    return store, *read_study(store, sweep_id, experiment=experiment, run_ids=run_ids, by=keys, **options)


def main() -> None:
    """Run the command line; a mistake of the user's ends with one message and status 1."""
    open_closed()
    with plain_endings(), answered():
        commands(prog_name="ratelab")
