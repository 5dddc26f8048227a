"""What the reference is made of while the site is built: the parsers of the commands, and conf/."""

import argparse
import inspect
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import yaml

from ratelab.commands.cli import commands
from ratelab.config.hydra_internals import get_args_parser

CONF = Path(__file__).parents[1] / "conf"
ABOUT_THE_FILE = {"_target_", "defaults", "hydra"}  # a comment above one of these keys
PLUGINS = """## hydra/launcher and hydra/sweeper

```{eval-rst}
.. autoclass:: hydra_plugins.ratelab_launcher.RatelabLauncherConf()
.. autoclass:: hydra_plugins.ratelab_ray_launcher.RayLauncherConf()
.. autoclass:: hydra_plugins.ratelab_sweeper.RatelabSweeperConf()
```
"""


def make_reference() -> dict[str, str]:
    """Return what pages of docs/ go on with, by their names."""
    return {"reference/commands": describe_commands(), "reference/configuration": describe_configuration()}


def describe_commands() -> str:
    """Return a section for `ratelab`, and one for each of its commands."""
    settings = commands.context_settings
    top = click.Context(commands, info_name="ratelab", **settings)
    below = [click.Context(one, top, name, **one.context_settings) for name, one in commands.commands.items()]
    return "\n".join(describe_command(one) for one in [top, *sorted(below, key=lambda one: one.info_name)])


def describe_command(context: click.Context) -> str:
    """Return the section of a command: what it does, how it is called, its options."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    about = [as_typed(part) for part in inspect.cleandoc(command.help).split("\n\n")]
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    records = [one.get_help_record(context) for one in options]
    if command.name == "train":
        records += list_options_of_hydra()
    items = "\n".join(as_item(name, escape(text)) for name, text in records)
    return "\n\n".join([f"## {context.command_path}", *about, f"```\n{usage}\n```", items, ""])


def as_typed(paragraph: str) -> str:
    """Return a paragraph; one whose lines click is told to leave as they are becomes a block."""
    head, _, lines = paragraph.partition("\n")
    return f"```\n{lines}\n```" if head == "\b" else paragraph


def list_options_of_hydra() -> Iterator[tuple[str, str]]:
    """Yield the options that training has from Hydra, each with the first line of its help."""
    for action in get_args_parser()._actions:  # argparse has no other list of them
        if action.option_strings:
            is_flag = action.nargs == 0 or isinstance(action, argparse._VersionAction)
            value = "" if is_flag else f" {action.dest.upper()}"
            yield ", ".join(action.option_strings) + value, str(action.help).splitlines()[0].rstrip(":")


def describe_configuration() -> str:
    """Return a section for each group of conf/, with every option and every key in it."""
    parts = [describe_file(CONF / "config.yaml", "")]
    for folder in sorted({path.parent for path in CONF.rglob("*/*.yaml")}):
        group = folder.relative_to(CONF).as_posix()
        parts.append(f"## {group}\n")
        for path in sorted(folder.glob("*.yaml")):
            parts.append(f"### {group}={path.stem}\n\n{describe_file(path, group.replace('/', '.') + '.')}")
    return "\n".join([*parts, PLUGINS])


def describe_file(path: Path, prefix: str) -> str:
    """Return what a file says about itself, what it chooses, and its keys with their comments.

    Args:
        path: of the file.
        prefix: the group that its keys are in, with a dot at the end.
    """
    text = path.read_text()
    lines = text.splitlines()
    if lines[0] == "# @package _global_":
        lines[0], prefix = "", ""
    keys = [*list_keys(yaml.compose(text), prefix)]
    comments = [find_comment(key, lines[:number]) for key, number, _ in keys]
    head = [*takewhile(is_comment, lines if lines[0] else lines[1:])]
    parts = [] if head in comments else [as_markdown(head), ""]
    for (key, _, node), comment in zip(keys, comments, strict=True):
        if key == "defaults":
            parts.append(f"* chooses {name_choices(yaml.safe_load(text)[key])}")
        elif not isinstance(node, yaml.MappingNode):
            value, _, more = text[node.start_mark.index : node.end_mark.index].partition("\n")
            parts.append(as_item(f"{key}: {'...' if more else value}", as_markdown(comment)))
        elif comment:
            parts.append(as_item(key, as_markdown(comment)))
    return "\n".join([*parts, ""])


def list_keys(mapping: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, int, yaml.Node]]:
    """Yield every key of a mapping, and of those inside it: its name, the number of its line, its value."""
    for key, value in mapping.value:
        yield prefix + key.value, key.start_mark.line, value
        if isinstance(value, yaml.MappingNode):
            yield from list_keys(value, f"{prefix}{key.value}.")


def find_comment(key: str, before: list[str]) -> list[str]:
    """Return the comment right above a key, as lines; none where it is about the file."""
    if key.rpartition(".")[2] in ABOUT_THE_FILE:
        return []
    return [*takewhile(is_comment, reversed(before))][::-1]


def is_comment(line: str) -> bool:
    """Say whether a line of YAML is nothing but a comment."""
    return line.lstrip().startswith("#")


def name_choices(defaults: list[str | dict[str, str | None]]) -> str:
    """Return what a list of defaults chooses, as words of the command line."""
    pairs = [pair for one in defaults if isinstance(one, dict) for pair in one.items()]
    words = [f"{group.removeprefix('override ').lstrip('/')}={option}" for group, option in pairs if option]
    return ", ".join(f"`{word}`" for word in words)


def as_markdown(comment: list[str]) -> str:
    """Return the text of a comment; a line that is indented in it is to be typed."""
    texts = [line.lstrip().removeprefix("# ") for line in comment]
    return "\n".join(f"\n```\n{one.strip()}\n```\n" if one.startswith(" ") else escape(one) for one in texts)


def as_item(term: str, text: str) -> str:
    """Return an item of a list: a term, and below it what it means."""
    below = "\\\n" + text if text else ""
    return f"* `{term}`" + below.replace("\n", "\n  ")


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, with options as code and pages as links."""
    code = re.sub(r"(?<!\S)(--[a-z][\w-]*|-\w)(?![\w`])", r"`\1`", text)
    parts = re.split("(`[^`]*`)", code)
    parts[::2] = [re.sub(r"[*<\[]", r"\\\g<0>", part) for part in parts[::2]]
    return re.sub(r"\bdocs/(\w+\.md)", r"[\g<0>](../\1)", "".join(parts))
