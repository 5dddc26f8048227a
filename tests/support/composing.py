"""The project's configuration, composed as Hydra does it, in a fifth of the time."""

import copy
import functools
import pickle

from hydra import compose, initialize_config_dir
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from omegaconf import OmegaConf, open_dict

from ratelab.config import register_resolvers
from ratelab.config.composing import Composer
from ratelab.config.files import CONF
from ratelab.config.hydra_internals import Callbacks
from ratelab.sweeps.jobs import HydraProgram
from support import ROOT

SWEEP_ID = "2026-01-31-12-00-00"
# what Hydra composes the project's configuration of, and nothing of the user's, which may change
OF_PROJECT = {"pkg://hydra.conf", "structured://", *(f"{scheme}://{CONF}" for scheme in ("file", "ratelab"))}
MADE = {}  # of those files, in this process


@functools.cache
def composer():
    """One for all tests of this process: what they share is composed once."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return Composer(HydraContext(loader, Callbacks()), compose("config", return_hydra_config=True))


def composed(*overrides):
    """The configuration that a command line with these overrides has."""
    return composer().job(overrides, 0)


def share_compositions(patch):
    """Let Hydra read each file of the project once, and merge each list of them once: 20 ms, not 65.

    What it makes of the overrides, and every error, is its own each time; so is all of a user's folder.
    """
    load, merge = ConfigRepository.load_config, ConfigLoaderImpl._compose_config_from_defaults_list
    map_choices = defaults_list._create_interpolation_map

    def load_once(repository, config_path):
        return recall(repository, config_path, lambda: load(repository, config_path))

    def merge_once(loader, defaults, repo):
        return recall(repo, fields_of(defaults), lambda: merge(loader, defaults, repo))

    def map_once(overrides, chosen, self_added):
        # a function of what it is given; for each of twenty files it makes what is read where one has a "${"
        key = (repr(overrides.known_choices), fields_of(chosen), self_added)
        if key not in MADE:
            MADE[key] = map_choices(overrides, chosen, self_added)
        return MADE[key]

    patch.setattr(ConfigRepository, load.__name__, load_once)
    patch.setattr(ConfigLoaderImpl, merge.__name__, merge_once)
    patch.setattr(defaults_list, map_choices.__name__, map_once)


def fields_of(defaults):
    return repr([(type(one).__name__, vars(one)) for one in defaults])


def recall(repository, name, make):
    """Return a copy of what was made of the project's files under this name."""
    sources = [f"{source.scheme()}://{source.path}" for source in repository.get_sources()]
    if not set(sources) <= OF_PROJECT:
        return make()
    key = (*sources, name)
    if key not in MADE:
        MADE[key] = pickle.dumps(make())
    return pickle.loads(MADE[key])  # noqa: S301 - made above


def by_hydra(sweep, overrides, number):
    """Compose a job as Hydra's launchers do; `sweep` has its `loader` and its `config`."""
    job = sweep.loader.load_sweep_config(sweep.config, list(overrides))
    with open_dict(job):
        job.hydra.job.id = f"{sweep.config.hydra.job.name}_{number}"
        job.hydra.job.num = number
    return job


def text(config):
    """Every key in its order and every value with its type; ten times faster to write than YAML."""
    return repr(OmegaConf.to_container(config, resolve=False))


def hydra_program(folder, task):
    """What Hydra hands to a launcher, of a sweep in this folder, named as our hook does it."""
    shared = composer()
    config = copy.deepcopy(shared._config)
    config.hydra.sweep.dir = str(folder)
    config.hydra.callbacks.preflight.sweep_id = SWEEP_ID
    named = f"hydra.callbacks.preflight.sweep_id={SWEEP_ID}"
    config.hydra.overrides.hydra = [f"hydra.sweep.dir={folder}", named]  # of which each job is composed
    return HydraProgram(HydraContext(shared._loader, Callbacks()), task, config)


class QuickComposer:
    """Stands for `Composer` where many tests compose the same jobs in folders of their own."""

    def __init__(self, _, config):
        self._folder, self._sweep_id = config.hydra.sweep.dir, config.hydra.callbacks.preflight.sweep_id

    def job(self, overrides, number):
        """Return what the composer that all tests share has, in the folder of this sweep."""
        job = composer().job(overrides, number)
        job.hydra.sweep.dir = self._folder
        job.hydra.callbacks.preflight.sweep_id = self._sweep_id
        return job
