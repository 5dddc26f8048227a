"""Seconds of a whole sweep, 3 schedules x 10 seeds, ours and its peers, and its training against the floor.

    python benchmarks/sweep.py [--rounds 3] [--quick] [--only NAME ...] [--json FILE]

Measured: 30 runs of 27,500 steps (50 epochs of 550 batches of 100 of MNIST's 55,000 training images); every
step's learning rate and every 10th loss in MLflow's SQLite; validation each epoch, the test once. Contestants
run one after another, round after round, each in a process and a folder of its own, with a fresh copy of one
store that MLflow has made. A first round, reduced, is not counted. Medians are compared. Seconds are whole
processes, start to exit; microseconds a run-step are training alone, timed inside the process.

- ours: tracked; with `tracking=none`; with every loss (1.65 million rows). Threads as configured.
- ours-journal: tracked, once more; it says how many seconds of the sweep the journal's file took, for that is
  less than two sweeps differ.
- tutorial: `tutorial.py`, which records nothing, twice: with decay, then without. TensorFlow's threads.
- keras, joblib: `peers/keras_hydra.py` under Hydra's basic launcher, and under joblib's with a process a core
  and a thread each. The whole would take most of an hour; three reduced sweeps give the cost of a start, of
  a run and of an epoch, and from these the whole sweep is EXTRAPOLATED.
- jax-plain: `peers/jax_vmap.py`, training only, one vmap over the runs, as one would write it.
- jax, jax-devices: the same with our layout, shared batches, gathering ahead; on one device, on one a core.
- floor, inserts: the bare matrix products on all cores, the bare inserts of the same rows.
- training: our training alone, `peers/ours_training.py`.

Every one is checked: as many metrics as there should be, losses that fell, and after 50 epochs an accuracy
between 0.87 and 0.93.
"""

import argparse
import importlib.metadata
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from peers.contestants import CONTESTANTS, EPOCH, NEEDS, QUICK, Lap, NotThereError, Size
from train_step import load_average, machine

Laps = dict[str, list[Lap]]
Figures = dict[str, float]

TITLES = {
    "ours": "ratelab, tracked",
    "ours-none": "ratelab, tracking=none",
    "ours-every": "ratelab, tracked with every loss",
    "ours-journal": "ratelab, tracked, its journal timed",
    "tutorial": "the tutorial's program, 2 runs",
    "tutorial-all": "the tutorial's program, all runs",
    "keras": "Keras fit, Hydra, log_batch",
    "joblib": "Keras fit, Hydra's joblib, log_batch",
    "inserts": "bare inserts of the same rows",
    "training": "ratelab, training alone",
    "floor": "floor: products, the faster layouts",
    "floor-one-layout": "floor, each batch held in one layout",
    "floor-one-batch": "floor, if all runs shared a batch",
    "jax-plain": "JAX vmap, as one would write it",
    "jax": "JAX vmap, tuned with our tricks",
    "jax-devices": "JAX vmap, tuned, a device a core",
    "steps-ours": "ratelab, tracked, whole process",
    "steps-none": "ratelab, tracking=none, whole process",
    "steps-tutorial": "the tutorial's program, whole process",
    "steps-tutorial-alone": "the tutorial's program, steps alone",
}
KERAS = ("keras", "joblib")
SECONDS = (
    "ours",
    "ours-none",
    "ours-every",
    "ours-journal",
    "tutorial",
    "tutorial-all",
    "keras",
    "joblib",
    "inserts",
)
RATIOS = (
    ("whole sweep, tracked / the tutorial's 2 runs", "ours", "tutorial", "<= 1.0"),
    ("training / floor", "training", "floor", "<= 1.5"),
    ("training / floor, each batch in one layout", "training", "floor-one-layout", ""),
    ("training / floor, if all runs shared a batch", "training", "floor-one-batch", ""),
    ("the tutorial's step, whole process / training", "steps-tutorial", "training", ""),
    ("the tutorial's step alone / training", "steps-tutorial-alone", "training", ""),
    ("JAX vmap, as one would write it / training", "jax-plain", "training", ">= 3"),
    ("JAX vmap, tuned / training", "jax", "training", ""),
    ("JAX vmap, a device a core / training", "jax-devices", "training", ""),
    ("the tutorial's program, all runs / whole sweep", "tutorial-all", "ours", ""),
    ("Keras / whole sweep", "keras", "ours", ""),
    ("Keras, joblib / whole sweep", "joblib", "ours", ""),
)


def measure(names: Sequence[str], rounds: int, size: Size, folder: Path) -> tuple[Laps, dict[str, str]]:
    """Run all of them in turn; return their laps, and why others have none."""
    from ratelab.tracking import prepare_store

    prepare_store("sqlite:///template/mlruns/mlflow.db", folder)
    without = {name: reason for name in names if (reason := not_installed(name))}
    laps: Laps = {name: [] for name in names}
    sizes = [size] * rounds if size.quick else [QUICK, *[size] * rounds]
    for number, now in enumerate(sizes):
        for name in names:
            if name in without:
                continue
            print(f"round {number + 1} of {len(sizes)}: {name}", file=sys.stderr, flush=True)
            fresh = Path(shutil.copytree(folder / "template", folder / "lap"))
            try:
                laps[name].append(CONTESTANTS[name](now, fresh))
            except NotThereError as error:
                without[name] = f"not there: {error}"
            except Exception as error:  # the others go on
                without[name] = f"failed: {error}"
            shutil.rmtree(fresh)
    counted = {name: done[-rounds:] for name, done in laps.items() if name not in without}
    return counted, without


def not_installed(name: str) -> str:
    """Return how to install what the contestant needs, or nothing if it is there."""
    package = NEEDS.get(name, "mlflow")
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return f"skipped: pip install {package}"
    return ""


def figures(laps: Laps, size: Size) -> Figures:
    """Return the medians: seconds, and microseconds a run-step."""
    found: Figures = {}
    for name, done in laps.items():
        keys = [key for key in done[0] if key not in ("measured", "rows")]
        medians = {key: statistics.median(lap[key] for lap in done) for key in keys}
        found[name] = medians.get("seconds", medians.get("us_per_run_step", math.nan))
        if name in KERAS:
            start, run, epoch = costs(done, size)
            found[name] = start + size.runs * (run + size.epochs * epoch)
        found |= derived(name, medians, size)
    return found


def derived(name: str, medians: Figures, size: Size) -> Figures:
    """Return what else follows from the medians of a contestant."""
    if name == "floor":
        return {"floor-one-layout": medians["us_one_layout"], "floor-one-batch": medians["us_one_batch"]}
    if name in ("ours", "ours-none"):
        return {f"steps-{name.removeprefix('ours-')}": medians["seconds"] / size.run_steps * 1e6}
    if name == "ours-journal":
        return {"journal": medians["journal"]}
    if name == "tutorial":
        step = 1e6 / (2 * size.epochs * EPOCH)
        return {
            "tutorial-all": medians["seconds"] / 2 * size.runs,
            "steps-tutorial": medians["seconds"] * step,
            "steps-tutorial-alone": medians["steps_alone"] * step,
        }
    return {}


def costs(laps: list[Lap], size: Size) -> list[float]:
    """Return the seconds of a start, of a run and of an epoch, from the medians of the reduced sweeps."""
    medians = [statistics.median(times) for times in zip(*(lap["measured"] for lap in laps), strict=True)]
    terms = [[1, runs, runs * epochs] for runs, epochs in size.reduced]
    solved: list[float] = np.linalg.solve(terms, medians).tolist()
    return solved


def note(name: str, laps: Laps, found: Figures, size: Size) -> str:
    """Return how a figure came about, where it was not measured as it stands."""
    if name == "tutorial-all":
        return f"EXTRAPOLATED: one run, start to exit, x {size.runs}"
    if name in KERAS:
        start, run, epoch = solved = costs(laps[name], size)
        runs = f"{size.runs} runs x ({run:.2f} s + {size.epochs} epochs x {epoch:.3f} s)"
        doubt = "; DISTURBED, do not trust it" if min(solved) < 0 else ""
        return f"EXTRAPOLATED: {start:.1f} s + {runs}{doubt}"
    if name == "inserts":
        return f"{laps[name][0]['rows']:,} rows"
    if name.startswith("jax"):
        return f"EXTRAPOLATED to the sweep: {found[name] * size.run_steps / 1e6:.1f} s"
    return ""


def tables(laps: Laps, size: Size) -> Iterator[str]:
    """Yield the lines of the two tables and of the ratios."""
    found = figures(laps, size)
    names = [name for name in TITLES if name in found]
    yield f"{f'seconds of {size.runs} runs, start to exit':42}{'median':>9}{'x ours':>9}"
    for name in names:
        if name in SECONDS:
            yield line(name, found, "ours", note(name, laps, found, size))
    yield f"\n{'microseconds a run-step':42}{'median':>9}{'x floor':>9}"
    for name in names:
        if name not in SECONDS:
            yield line(name, found, "floor", note(name, laps, found, size))
    yield ""
    yield from ratios(found)
    if "ours" in laps and "tutorial" in laps:
        pairs = zip(laps["ours"], laps["tutorial"], strict=True)
        each = sorted(ours["seconds"] / tutorial["seconds"] for ours, tutorial in pairs)
        yield f"{'whole sweep / 2 runs, round by round':52}{each[0]:>8.2f} to {each[-1]:.2f}"


def ratios(found: Figures) -> Iterator[str]:
    """Yield the lines of the ratios, those whose figures are there."""
    yield f"{'ratios of medians':60}  wanted"
    for title, over, under, wanted in RATIOS:
        if over in found and under in found:
            yield f"{title:52}{found[over] / found[under]:>8.2f}  {wanted}".rstrip()
    for title, name in (("tracking adds", "ours"), ("tracking with every loss adds", "ours-every")):
        if name in found and "ours-none" in found:
            yield f"{title:52}{found[name] / found['ours-none'] - 1:>8.1%}"
    if "journal" in found:
        yield f"{'the journal, of the whole sweep':52}{found['journal'] / found['ours-journal']:>8.2%}"


def line(name: str, found: Figures, base: str, remark: str) -> str:
    """Return a line of one of the two tables."""
    ratio = f"{found[name] / found[base]:.2f}" if base in found else ""
    return f"{TITLES[name]:42}{found[name]:>9.2f}{ratio:>9}  {remark}".rstrip()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Seconds of a whole sweep, against peers and the floor.")
    parser.add_argument("--quick", action="store_true", help="reduced: to see that it works")
    parser.add_argument("--rounds", type=int, help="that count (3, quick: 1)")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    return parser.parse_args()


def main() -> int:
    """Measure and print; the status is 1 if a contestant failed."""
    options = parse()
    size = QUICK if options.quick else Size()
    rounds = options.rounds or (1 if options.quick else 3)
    about = machine() | {"load before": load_average()}
    with tempfile.TemporaryDirectory() as folder:
        laps, without = measure(options.only, rounds, size, Path(folder))
    about["load after"] = f"{os.getloadavg()[0]:.2f}, this benchmark included"
    about["work"] = f"{size.runs} runs of {size.epochs} epochs of {EPOCH} steps; {rounds} alternating rounds"
    if options.quick:
        about["quick"] = "reduced: the figures mean nothing"
    print(*(f"{key:12}{value}" for key, value in about.items()), "", *tables(laps, size), sep="\n")
    print(*(f"{name}: {reason}" for name, reason in without.items()), sep="\n")
    if options.json:
        report = {"about": about, "size": asdict(size), "laps": laps, "figures": figures(laps, size)}
        options.json.write_text(json.dumps(report | {"without": without}, indent=2) + "\n")
    return int(any(reason.startswith("failed") for reason in without.values()))


if __name__ == "__main__":
    sys.exit(main())
