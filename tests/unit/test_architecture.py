"""The rules of docs/architecture.md that a program can check."""

import ast
import graphlib
import importlib
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGE = SRC / "ratelab"

# Each package or module imports only from the layers before its own.
LAYERS = [
    ["layers", "validation"],
    ["batch_sizes", "models", "optimizers", "runtime", "schedules", "tasks"],
    ["comparison", "config", "data", "tracking"],
    ["report", "training"],
    ["runs"],
    ["sweeps"],
    ["commands"],
    ["__main__", "api"],
]

MOST_LAYERS = 9
LINES_OF_A_MODULE = 300
LINES_OF_A_FUNCTION = 60


def layer(name):
    """The number of the layer of a module or a package directly in ratelab."""
    found = [number for number, names in enumerate(LAYERS) if name in names]
    assert found, f"{name} is in no layer: add it to LAYERS and to docs/architecture.md"
    return found[0]


def parsed(path):
    return ast.parse(path.read_text())


def files_of(name):
    path = PACKAGE / name
    return sorted(path.glob("**/*.py")) if path.is_dir() else [path.with_suffix(".py")]


def imported(path):
    """The modules of ratelab that a file imports, at its top or in a function."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("ratelab."))


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def own_public(tree):
    """The public functions and classes of a module; click's commands are reached through its main."""

    def is_command(node):
        return any(
            isinstance(call, ast.Call) and getattr(call.func, "attr", "") in {"command", "group"}
            for call in node.decorator_list
        )

    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    nodes = [node for node in tree.body if isinstance(node, kinds)]
    return {node.name for node in nodes if not node.name.startswith("_") and not is_command(node)}


def declared(tree):
    """The literal `__all__` of a module, None if it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return None


def module_name(path):
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


MODULES = sorted({path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.glob("**/*.py")})
MODULES.remove("__init__")
FILES = sorted(PACKAGE.glob("**/*.py"))
SOURCES = [*FILES, *sorted((SRC / "hydra_plugins").glob("*.py")), SRC / "train.py"]


def test_every_layer_is_of_modules_that_exist():
    assert sorted(name for names in LAYERS for name in names) == MODULES
    assert len(LAYERS) <= MOST_LAYERS


def nodes_when_run(node):
    """All nodes of a tree but those that only a type checker looks at."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        yield child
        yield from nodes_when_run(child)


def files_imported(path):
    """The modules of ratelab, one a file, that a file names in its imports, at its top or in a function."""
    modules = {module_name(file) for file in FILES}
    for node in nodes_when_run(parsed(path)):
        if isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & modules
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield from {inside if inside in modules else node.module} & modules


def test_no_module_imports_itself_by_way_of_others():
    graph = {module_name(path): set(files_imported(path)) for path in FILES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a cycle: {' <- '.join(error.args[1])}", pytrace=False)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_left(name):
    others = {other for path in files_of(name) for other in imported(path)} - {name}
    assert {other for other in others if layer(other) >= layer(name)} == set()


def test_the_package_imports_neither_the_entry_point_nor_the_plugins():
    for path in FILES:
        text = path.read_text()
        assert "import train\n" not in text
        assert "from train import" not in text
        assert "import hydra_plugins" not in text
        assert "from hydra_plugins" not in text


def test_the_plugins_folder_is_a_namespace_that_others_can_share():
    assert not (SRC / "hydra_plugins" / "__init__.py").exists()


MLFLOW_PRIVATE = PACKAGE / "tracking" / "mlflow_internals.py"
# of these MLflow documents what it offers
MLFLOW_PUBLIC = {
    "mlflow",
    "mlflow.entities",
    "mlflow.exceptions",
    "mlflow.models",
    "mlflow.tensorflow",
    "mlflow.types",
}


def private_parts_of_mlflow(path):
    """The undocumented modules that a file imports, and the private attributes of others that it uses."""
    tree = parsed(path)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"mlflow:{one.name}" for one in node.names if one.name.startswith("_"))]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") != "self":
            is_private = node.attr.startswith("_") and not node.attr.startswith("__")
            if is_private and node.attr not in own:
                yield node.attr
            continue
        else:
            continue
        yield from {name for name in names if name.partition(".")[0] == "mlflow"} - MLFLOW_PUBLIC


def test_one_module_touches_the_private_parts_of_mlflow():
    assert list(private_parts_of_mlflow(MLFLOW_PRIVATE)) != []
    users = [path for path in SOURCES if "mlflow" in path.read_text() and path != MLFLOW_PRIVATE]
    assert {path: found for path in users if (found := list(private_parts_of_mlflow(path)))} == {}


def test_one_module_touches_the_private_parts_of_hydra():
    users = {module_name(path) for path in SOURCES if "hydra._internal" in path.read_text()}
    assert users == {"ratelab.config.hydra_internals"}


def mutable_globals(path):
    """The names that a function of a module assigns anew, and those that are no constants but can be changed.

    A list, a dictionary or an instance of a class of ours may be changed by whoever sees it: in capitals it
    is said to be a constant.
    """
    tree = parsed(path)
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        [name] = node.targets if isinstance(node, ast.Assign) else [node.target]
        made = isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") in classes | BUILDERS
        if (isinstance(node.value, displays) or made) and name.id not in {"__all__", name.id.upper()}:
            yield name.id


BUILDERS = {"Counter", "OrderedDict", "defaultdict", "deque", "dict", "list", "set"}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_only_the_process_itself_has_state(path):
    if not path.is_relative_to(PACKAGE / "runtime"):
        assert list(mutable_globals(path)) == []


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_is_short(path):
    assert len(path.read_text().splitlines()) <= LINES_OF_A_MODULE


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_its_functions_are_short(path):
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in functions(parsed(path))}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_FUNCTION} == {}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_module_declares_what_it_offers(path):
    tree = parsed(path)
    names = declared(tree)
    inside = len(path.relative_to(PACKAGE).parts) > 1 and path.name != "__init__.py"
    if names is None:
        # what lies inside a package is offered, or not, by the package
        assert inside or own_public(tree) == set()
    else:
        assert names == sorted(set(names))
        assert own_public(tree) - set(names) == set()


WITH_KERAS = {"ratelab.layers"}  # tests/training imports it


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if declared(parsed(path)) and module_name(path) not in WITH_KERAS],
    ids=module_name,
)
def test_what_a_module_declares_exists(path):
    module = importlib.import_module(module_name(path))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
