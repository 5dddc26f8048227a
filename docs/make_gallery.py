"""Write docs/schedules.md and its figures from conf/ and the docstrings: `make gallery`.

The figures are drawn here, a few lines of SVG each, so that they are the same bytes with every version of
every library.
"""

import inspect
import re
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import OmegaConf

from ratelab import schedules
from ratelab.config.targets import locate
from ratelab.schedules import Reactive

ROOT = Path(__file__).parents[1]
STEPS, EXAMPLE_SEED = 1000, 0
WIDTH, HEIGHT, LEFT, TOP = 360, 150, 34, 10
COLORS = {"rate": "#2563eb", "momentum": "#d97706"}
STYLE = (
    "<style>rect{fill:#fff}text{fill:#333}"
    "@media(prefers-color-scheme:dark){rect{fill:#131416}text{fill:#ccc}}</style>"
)
# Options whose file has steps that suit the tutorial's 27,500 and not the 1,000 of a figure.
FIGURES = {"exponential": {"decay_steps": 0.1}, "staircase": {"decay_steps": 0.1}}

HEAD = """# The schedules

The rate of every step as a formula, with the options as they are in `conf/schedule/`. t counts from 0; T is
the number of steps of the run. The figures show base rate 1 and 1,000 steps, with the defaults, but
`decay_steps` of a tenth of the run for `exponential` and `staircase`.

```
python src/train.py -m schedule=linear_to_zero,cosine,wsd warmup=linear learning_rate=0.1,0.5
```

`ratelab preview` takes the same words and draws the curves without training. Whatever lasts is a number of
steps (a whole number, or one above 1.0) or a fraction of the run (a float up to 1.0):
`schedule.decay_steps=1000`, `schedule.decay_steps=0.25`.

Those that end at zero take `schedule.floor`, the part of the base rate that they fall to instead. It
draws the whole course f(t) together, as `alpha` and `end_value` of optax and `eta_min` of PyTorch do:
floor * learning_rate + (1 - floor) * f(t). So it starts from the base rate as before, keeps its form, and
is at the floor only where f(t) is 0; cut off, it would stay there from where f(t) first falls below it.
Others have a key of their own for their lowest rate: `final_div_factor` (`one_cycle`), `div_factor`
(`cyclic`), `min_rate` (`plateau`).

This page is written by `make gallery`, from the docstrings in `src/ratelab/schedules/` and from `conf/`.
"""
COMPOSED = """## Made of others

In YAML every schedule can be an argument of another, with its own `_target_`: each gets the base rate, and as
its length the steps that it has. A constant rate for a half, then a cosine from a tenth of the rate:

```yaml
# conf/schedule/two_parts.yaml
_target_: ratelab.schedules.join
boundaries: [0.5]
schedules:
  - _target_: ratelab.schedules.fixed
  - _target_: ratelab.schedules.scale
    factor: 0.1
    schedule:
      _target_: ratelab.schedules.cosine
```
"""
KERAS = """## In Python, in Keras and in PyTorch

Each is a function of the base rate and the length of the run, and gives a function of the step:

```python
from ratelab.schedules import as_keras, as_torch, cosine, warmup

rates = warmup(0.1, 1000, schedule=cosine, warmup_steps=50)(np.arange(1000))
keras.optimizers.SGD(as_keras(warmup, 0.1, 1000, schedule=cosine, warmup_steps=50))

optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = as_torch(optimizer, warmup, 1000, schedule=cosine, warmup_steps=50)
```

`as_torch` gives a `LambdaLR`, whose `step()` is called after each update. The base rate is that of the first
parameter group of the optimizer; others keep their ratio to it. Before update t the rate is exactly the
float32 that ratelab trains with at step t, and after the end the last one. Its `state_dict` has all of them,
so a loop can go on from what it saved. PyTorch is no requirement of ratelab's: `pip install torch`.

A schedule may have the attribute `momentum`, a function from steps to momenta; `one_cycle` has.
"""
EPOCHS = 50  # of the example of a schedule that reacts
# What the page shows beside the files of conf/schedule.
COMPOSITIONS: dict[str, Callable[..., Any]] = {
    "warmup": partial(schedules.warmup, schedule=schedules.cosine, warmup_steps=0.1),
    "join": partial(schedules.join, schedules=[schedules.fixed, schedules.cosine], boundaries=[0.5]),
    "scale": partial(schedules.scale, schedule=schedules.linear_to_zero, factor=0.5),
}


def main() -> None:
    """Write the page and the figures; remove figures of schedules that are gone."""
    folder = ROOT / "docs" / "schedules"
    folder.mkdir(exist_ok=True)
    files = gallery()
    for stale in set(folder.glob("*.svg")) - set(files):
        stale.unlink()
    for path, text in files.items():
        path.write_text(text)


def gallery() -> dict[Path, str]:
    """Return the content of every file of the gallery."""
    options = sorted((ROOT / "conf" / "schedule").glob("*.yaml"))
    docs = ROOT / "docs"
    made = {path.stem: made_from(path) for path in options} | COMPOSITIONS
    sections = [of_option(path) for path in options]
    composed = [of_function(name, getattr(schedules, name)) for name in COMPOSITIONS]
    page = "\n".join([HEAD, *sections, COMPOSED, *composed, KERAS])
    figures = {
        docs / "schedules" / f"{name}.svg": figure(name, build(1.0, STEPS)) for name, build in made.items()
    }
    return {docs / "schedules.md": page, **figures}


def made_from(path: Path) -> Callable[[float, int], Any]:
    """Return the schedule of a file in conf/schedule as a function of its base rate and its length."""
    merged = OmegaConf.merge({"seed": EXAMPLE_SEED}, {"schedule": OmegaConf.load(path)})
    resolved: Any = OmegaConf.to_container(merged, resolve=True)
    options: dict[str, Any] = resolved["schedule"]
    function = locate(options.pop("_target_"))
    options |= FIGURES.get(path.stem, {})

    def build(learning_rate: float, steps: int) -> Any:
        takes = inspect.signature(function).parameters
        made = function(learning_rate, **({"steps": steps} if "steps" in takes else {}), **options)
        return in_an_example(made, steps) if isinstance(made, Reactive) else made

    return build


def in_an_example(schedule: Reactive, steps: int) -> Callable[[Any], Any]:
    """Return what a schedule does in 50 epochs whose validation loss falls for 15 epochs and then no more."""
    losses = [max(1 - epoch / 15, 0.0) for epoch in range(EPOCHS)]
    length = steps // EPOCHS
    table = [schedule.rates(np.arange(length), losses[:epoch]) for epoch in range(EPOCHS)]
    return lambda step: np.concatenate(table)[step]


def of_option(path: Path) -> str:
    """Return the section of a file in conf/schedule: figure, text, references, and the file itself."""
    text = path.read_text()
    section = of_function(path.stem, locate(str(OmegaConf.select(OmegaConf.load(path), "_target_"))))
    return f"{section}\n```yaml\n# conf/schedule/{path.name}\n{text}```\n"


def of_function(name: str, function: Callable[..., Any]) -> str:
    """Return the section of a function: figure, formula, text, when to use it, references."""
    summary, body, references = parts_of(function)
    lines = [f"## {name}", f"![{name}](schedules/{name}.svg)", summary, body, f"Reference: {references}"]
    return "\n\n".join(lines) + "\n"


def parts_of(function: Callable[..., Any]) -> tuple[str, str, str]:
    """Return the first line of a docstring, the paragraphs after it, and its references."""
    doc = inspect.getdoc(function) or ""
    before, _, after = doc.partition("\nArgs:")
    summary, _, body = before.partition("\n")
    references = re.search(r"\nReferences:\n(.*?)(?:\n\n|\Z)", after, re.DOTALL)
    if references is None:
        raise ValueError(f"{function.__name__}: the docstring has no references")
    head, colon, formula = summary.partition(": ")
    shown = f"{head}:\n\n```\n{formula.rstrip('.')}\n```" if colon else summary
    return shown, body.strip(), " ".join(textwrap.dedent(references[1]).split())


def figure(name: str, schedule: Any) -> str:
    """Draw a schedule, and the momentum if it moves one, as SVG."""
    steps = np.arange(STEPS)
    rates = schedule(steps)
    top = max(1.0, float(rates.max()))
    lines = [("rate", rates)]
    momentum = schedules.momentum_of(schedule)
    if momentum is not None:
        lines.append(("momentum", momentum(steps)))
    drawn = [
        f'<path d="{path_of(values / top)}" fill="none" stroke="{COLORS[kind]}" stroke-width="1.5"/>'
        for kind, values in lines
    ]
    base, right = TOP + HEIGHT, LEFT + WIDTH
    words = [
        word(LEFT - 5, base, "0"),
        word(LEFT - 5, TOP + 6, f"{top:.3g}"),
        word(right, base + 14, str(STEPS - 1)),
    ]
    if len(lines) > 1:
        words += [word(right - 5, TOP + 10 + 13 * i, kind, COLORS[kind]) for i, (kind, _) in enumerate(lines)]
    axes = f'<path d="M{LEFT} {TOP}V{base}H{right}" fill="none" stroke="#888"/>'
    size = f'width="{right + 10}" height="{base + 20}" viewBox="0 0 {right + 10} {base + 20}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="11">'
    )
    ground = '<rect width="100%" height="100%"/>'
    return "\n".join([head, f"<title>{name}</title>", STYLE, ground, axes, *drawn, *words, "</svg>"]) + "\n"


def word(x: int, y: int, text: str, color: str | None = None) -> str:
    """Return text that ends at x."""
    style = "" if color is None else f' style="fill:{color}"'
    return f'<text x="{x}" y="{y}" text-anchor="end"{style}>{text}</text>'


def path_of(heights: npt.NDArray[np.float64]) -> str:
    """Return the line through `heights` (0 to 1) without the points that lie on it anyway."""
    x = LEFT + WIDTH * np.arange(len(heights)) / (len(heights) - 1)
    y = TOP + HEIGHT * (1 - heights)
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)]
    turns = [0, *(i for i in range(1, len(y) - 1) if not flat(y[i - 1 : i + 2])), len(y) - 1]
    return "M" + "L".join(points[i] for i in turns)


def flat(three: npt.NDArray[np.float64]) -> bool:
    """Say whether three points in a row lie on one line."""
    return bool(abs(three[0] - 2 * three[1] + three[2]) < 1e-9)


if __name__ == "__main__":
    main()
