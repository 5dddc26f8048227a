"""What is used of Hydra's and OmegaConf's private parts is where it was; who moved one of them is told so.

The module that uses them is imported only in the tests, since all of it fails where one part has gone.
"""

import ast
import copy
import inspect
import pkgutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import hydra
import pytest

from support import SRC

FILE = SRC / "ratelab" / "config" / "hydra_internals.py"
SWEEPER = "hydra._internal.core_plugins.basic_sweeper:BasicSweeper"
LOADER = "hydra._internal.config_loader_impl:ConfigLoaderImpl"
NAMES = "hydra._internal.config_loader_impl:get_overrides_dirname"
FILES = "hydra._internal.core_plugins.file_config_source:FileConfigSource"
CALLBACKS = "hydra._internal.callbacks:Callbacks"
PROGRAM = "hydra._internal:hydra"
PARSER = "hydra._internal.utils:get_args_parser"
CHOICES = "hydra._internal.defaults_list:Overrides"
DEFAULTS = "hydra._internal:defaults_list"
REPOSITORY = "hydra._internal.config_repository:ConfigRepository"


def imported_names() -> list[str]:
    """What the module imports from Hydra's private package, as package:name."""
    imports = [node for node in ast.walk(ast.parse(FILE.read_text())) if isinstance(node, ast.ImportFrom)]
    found = {f"{node.module}:{alias.name}" for node in imports for alias in node.names}
    return sorted(name for name in found if name.startswith("hydra._internal"))


def fail(part: str) -> None:
    """Say which part has gone, in one sentence."""
    pytest.fail(f"hydra {hydra.__version__} has moved {part}, which {FILE.name} needs.", pytrace=False)


def find(name: str) -> Any:
    """Return what package:name says, an attribute of it after a dot."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        fail(name)


@pytest.fixture
def loader() -> Any:
    from support.composing import composer

    return composer()._loader


def test_all_that_is_imported_is_looked_for_here() -> None:
    assert imported_names() == sorted(
        [CALLBACKS, CHOICES, DEFAULTS, FILES, LOADER, NAMES, PARSER, PROGRAM, REPOSITORY, SWEEPER]
    )


@pytest.mark.parametrize("name", imported_names())
def test_what_is_imported_is_still_there(name: str) -> None:
    find(name)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (f"{SWEEPER}.split_arguments", ["overrides", "max_batch_size"]),
        (NAMES, ["overrides", "kv_sep", "item_sep", "exclude_keys"]),
        (f"{LOADER}.load_sweep_config", ["master_config", "sweep_overrides"]),
        (f"{LOADER}.load_configuration", ["config_name", "overrides"]),
        (f"{FILES}.load_config", ["config_path"]),
        (f"{FILES}._normalize_file_name", ["filename"]),
        (f"{FILES}._get_header_dict", ["config_text"]),
        (f"{CHOICES}.add_override", ["parent_config_path", "default"]),
        (f"{REPOSITORY}.initialize_sources", ["config_search_path"]),
        (f"{REPOSITORY}.load_config", ["config_path"]),
        ("omegaconf.grammar_parser:parse", ["value"]),
        (f"{LOADER}.get_group_options", ["results_filter", "config_name", "overrides"]),
    ],
)
def test_what_is_called_takes_what_it_is_given(name: str, arguments: list[str]) -> None:
    parameters = inspect.signature(find(name)).parameters
    for argument in arguments:
        if argument not in parameters:
            fail(f"the argument {argument} of {name}")


def test_hydra_makes_its_loader_of_the_class_that_is_put_in_its_place(loader: Any) -> None:
    from ratelab.config.hydra_internals import ConfigLoaderImpl

    if type(loader) is ConfigLoaderImpl:
        fail(f"where it looks for ConfigLoaderImpl, so that nothing it composes is checked, from {PROGRAM}")


def test_files_are_merged_where_a_configuration_that_lacks_most_is_refused() -> None:
    names = list(inspect.signature(find(f"{LOADER}._compose_config_from_defaults_list")).parameters)
    if names != ["self", "defaults", "repo"]:
        fail(f"the arguments of _compose_config_from_defaults_list of {LOADER}")


def test_callbacks_can_be_made_of_nothing() -> None:
    parameters = inspect.signature(find(CALLBACKS)).parameters.values()
    if any(parameter.default is parameter.empty for parameter in parameters):
        fail(f"the default of the argument of {CALLBACKS}")


def test_a_loader_reads_single_files(loader: Any) -> None:
    if not hasattr(loader, "repository"):
        fail("repository, an attribute of ConfigLoaderImpl")
    file = loader.repository.load_config("schedule/exponential")
    for name in ("config", "header"):
        if not hasattr(file, name):
            fail(f"{name}, an attribute of what ConfigLoaderImpl.repository loads")
    assert file.config["_target_"] == "ratelab.schedules.exponential"


def test_a_file_is_read_once_and_handed_out_in_copies(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ratelab.config.files import CONF, CheckedFiles

    monkeypatch.setattr(CheckedFiles, "load_config", Mock(wraps=CheckedFiles("main", str(CONF)).load_config))
    fresh = copy.deepcopy(loader.repository)
    fresh.initialize_sources(loader.config_search_path)
    for repository in (fresh, copy.deepcopy(fresh), fresh):
        file = repository.load_config("model/mlp")
        assert file.config["hidden"] == [128]
        file.config["hidden"] = [1]
    CheckedFiles.load_config.assert_called_once_with(config_path="model/mlp")


def test_another_search_path_is_read_anew(loader: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mlp.yaml").write_text("hidden: [7]")
    assert loader.repository.load_config("model/mlp").config["hidden"] == [128]
    path, own = copy.deepcopy(loader.config_search_path), copy.deepcopy(loader.repository)
    path.prepend("own", f"file://{tmp_path}")
    own.initialize_sources(path)
    assert own.load_config("model/mlp").config["hidden"] == [7]
    assert loader.repository.load_config("model/mlp").config["hidden"] == [128]


def test_omegaconf_parses_where_it_is_told_to_remember() -> None:
    import omegaconf.base

    from ratelab.config.hydra_internals import remember_interpolations

    remember_interpolations()
    config = omegaconf.OmegaConf.create({"a": 1, "b": "${a}0 and more", "c": {"b": "${a}0 and more"}})
    assert (config.b, config.c.b) == ("10 and more", "10 and more")
    if omegaconf.base.parse.cache_info().currsize != 1:
        fail("where it parses interpolations, from omegaconf.base.parse")
    config.a = 2
    assert (config.b, config.c.b) == ("20 and more", "20 and more")


def test_overrides_are_split_into_the_product_of_their_values(loader: Any) -> None:
    from ratelab.config.hydra_internals import split_overrides

    words = ["seed=0,1", "schedule=fixed,staircase", "epochs=range(1,2)"]
    assert split_overrides(loader, words) == [
        ["seed=0", "schedule=fixed", "epochs=1"],
        ["seed=0", "schedule=staircase", "epochs=1"],
        ["seed=1", "schedule=fixed", "epochs=1"],
        ["seed=1", "schedule=staircase", "epochs=1"],
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=1", "-m", "schedule=fixed,cosine"], ["-m", "seed=1", "schedule=fixed,cosine"]),
        (
            ["~warmup", "-cd", "own", "seed=-1", "--multirun"],
            ["-cd", "own", "--multirun", "~warmup", "seed=-1"],
        ),
        (["seed=1", "--config-name=own", "+a=1"], ["--config-name=own", "seed=1", "+a=1"]),
        (["-m", "--info", "defaults", "seed=1"], ["-m", "--info", "defaults", "seed=1"]),
        ([], []),
    ],
)
def test_options_may_stand_anywhere(words: list[str], expected: list[str]) -> None:
    from ratelab.config.hydra_internals import put_options_first

    assert put_options_first(words) == expected


def test_without_overrides_there_is_one_job(loader: Any) -> None:
    from ratelab.config.hydra_internals import split_overrides

    assert split_overrides(loader, []) == [[]]
