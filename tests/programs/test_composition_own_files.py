"""Jobs with options and experiments of the user's are compared with Hydra's own way to compose them."""

from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext

from ratelab.config import register_resolvers
from ratelab.config.composing import Composer
from ratelab.config.hydra_internals import Callbacks
from ratelab.config.search_path import OF_THE_USER, search_first
from support import ROOT
from support.composing import by_hydra, text

OWN = {
    "own.yaml": (
        "defaults: [config, override optimizer: muon, _self_]\nmodel: {start: normal}\nwarmup: {steps: 3}\n"
    ),
    "searched.yaml": "defaults: [config, _self_]\nhydra: {searchpath: ['file://FOLDER/more']}\n",
    "more/schedule/other.yaml": "_target_: mine.other\n",
    "schedule/longer.yaml": "defaults: [exponential, _self_]\ndecay_steps: 5\n",
    "schedule/elsewhere.yaml": "# @package model\nstart: 1\n",
    "schedule/fixed.yaml": "_target_: mine.fixed\nlevel: 2\n",
    "experiment/reaching.yaml": (
        "# @package _global_\ndefaults: [{/optimizer@task.own: adam}]\nbatch: {a: 1}\n"
    ),
    "experiment/over.yaml": (
        "# @package _global_\ndefaults: [{override /optimizer: adam}]\n"
        "model: {start: zero}\nwarmup: {steps: 9}\nepochs: 3\n"
    ),
}
IN_OWN = [
    ["schedule=longer", "seed=1"],
    ["schedule=longer", "schedule.decay_steps=6", "model=mlp"],
    ["schedule=elsewhere"],
    ["schedule=fixed", "optimizer=adam"],
    ["schedule=rex", "model=softmax", "warmup=linear"],
    ["schedule=rex", "model=mlp", "warmup=none"],
    ["experiment=reaching", "task=regression", "batch=growing", "schedule=rex"],
    ["experiment=reaching", "task=auto", "optimizer=sgd", "schedule=fixed"],
    ["experiment=over", "schedule=rex", "seed=1"],
    ["experiment=over", "schedule=rex", "model=softmax", "optimizer=sgd"],
    ["experiment=[quick,over]", "schedule=longer", "warmup=linear", "epochs=4"],
]


@pytest.mark.parametrize(
    ("name", "jobs"),
    [("config", IN_OWN), ("own", IN_OWN), ("searched", [*IN_OWN, ["schedule=other", "model=mlp", "seed=1"]])],
)
def test_with_files_of_the_users_too_a_job_is_what_hydra_composes(tmp_path, name, jobs):
    for path, content in OWN.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content.replace("FOLDER", str(tmp_path)))
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().hydra.config_loader
        loader.config_search_path.append(OF_THE_USER, str(tmp_path))
        search_first(loader.config_search_path)
        loader.repository.initialize_sources(loader.config_search_path)
        config = compose(name, return_hydra_config=True)
        own = SimpleNamespace(context=HydraContext(loader, Callbacks()), config=config, loader=loader)
        composer = Composer(own.context, config)
        for overrides in [*jobs, *reversed(jobs)]:
            assert text(composer.job(overrides, 0)) == text(by_hydra(own, overrides, 0)), overrides
