"""`lab equilibrium`: is there an equilibrium where D cannot separate finite samples?

The exercise of the d2l chapter, answered with p-values. Three pairs are tested at N real and N
generated examples: data against the generator of the published game, against that of a game that
arrives, and against the law itself. Every test draws fresh examples. The energy distance and the
MMD cost N^2, so they stop at `QUADRATIC` examples; the classifier's cost is linear.

The published generator is linear, so p_g is a Gaussian and the accuracy of the best possible
discriminator is known: it stands in the title of each panel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ganforge.data import toy
from ganforge.data.toy import Gaussian
from ganforge.evaluation.judges import discriminate
from ganforge.evaluation.metrics import twosample
from ganforge.plotting import style
from ganforge.rng import Stream
from ganforge.theory import exact, page
from ganforge.theory.games import game, play_to_end
from ganforge.theory.page import Experiment, Shown
from ganforge.types import Doubles, Floats

SIZES = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
QUADRATIC = 1_000
REPEATS = 5
LEVEL = 0.05
FLOOR = 1e-4  # smaller p are drawn here
EXACT = "the law itself"
TITLES = {"gaussian": "The published game", "gaussian-stable": "A game that arrives",
          EXACT: "Exact samples"}  # fmt: skip
COLOURS = {"classifier": style.D, "energy distance": style.FAKE, "MMD": style.G}

Found = Mapping[str, Mapping[str, Doubles]]  # p-values (sizes, repeats) by pair and test


TESTS: dict[str, Callable[[Floats, Floats, int], float]] = {
    "classifier": lambda x, y, seed: twosample.classifier_test(discriminate(x, y, seed)).p,
    "energy distance": lambda x, y, seed: twosample.energy_test(x, y, seed).p,
    "MMD": lambda x, y, seed: twosample.mmd_test(x, y, seed).p,
}


def equilibrium(
    seed: int = 0,
    steps: int | None = None,
    sizes: Sequence[int] = SIZES,
    repeats: int = REPEATS,
) -> Experiment:
    """Run the experiment.

    Args:
        seed: of the games and the tests.
        steps: of both games. [default: the recipes']
        sizes: N, real and generated examples each.
        repeats: tests at each N.
    """
    law = toy.LAWS["gaussian"]
    assert isinstance(law, Gaussian)
    pairs = {EXACT: law}
    found: dict[str, dict[str, Doubles]] = {}
    for name in TITLES:
        if name != EXACT:
            yield f"training {name}"
            ended = play_to_end(game(name, seed, steps)).state
            pairs[name] = exact.linear_generator(ended.average or ended.players.generator)
    for name in TITLES:
        found[name] = {}
        for test, p_value in TESTS.items():
            used = [n for n in sizes if test == "classifier" or n <= QUADRATIC]
            table = np.array([
                [p_value(*drawn(law, pairs[name], n, seed, j), seed + j) for j in range(repeats)]
                for n in used
            ])  # fmt: skip
            found[name][test] = table
            yield f"{name}, {test}: median p {np.median(table[-1]):.3g} at N = {used[-1]:,}"
    accuracy = {name: f"{100 * exact.best_accuracy(law, q):.1f} %" for name, q in pairs.items()}
    return Shown(draw(sizes, found, accuracy), says(sizes, found, accuracy))


def drawn(
    real: toy.Law, fake: Gaussian, count: int, seed: int, repeat: int
) -> tuple[Floats, Floats]:
    """Fresh examples of both laws, different for every N and repeat."""
    which = f"lab/equilibrium/{count}/{repeat}"
    return (
        real.sample(count, Stream(seed, f"{which}/real")),
        fake.sample(count, Stream(seed, f"{which}/fake")),
    )


def noticed(sizes: Sequence[int], table: Doubles) -> int | None:
    """The least N from which on the median p stays below the level; None if there is none."""
    above = np.flatnonzero(np.median(table, axis=1) >= LEVEL)
    since = above[-1] + 1 if len(above) else 0
    return sizes[since] if since < len(table) else None


def says(sizes: Sequence[int], found: Found, accuracy: Mapping[str, str]) -> str:
    """The two sentences under the figure."""
    parts = []
    for name in ("gaussian", "gaussian-stable"):
        n = noticed(sizes, found[name]["classifier"])
        when = f"from N = {n:,} on" if n else f"at no N up to {sizes[-1]:,}"
        parts.append(f"that of `{name}` {when} (the best possible D is right in {accuracy[name]} "
                     "of cases)")  # fmt: skip
    exact_p = np.concatenate([v.ravel() for v in found[EXACT].values()])
    return (
        "On few examples no test separates the trained generators from the data; a discriminator "
        f"trained afresh separates {parts[0]}, and {parts[1]}. Exact samples fall below p = "
        f"{LEVEL} in {(exact_p < LEVEL).sum()} of {len(exact_p)} tests at every N together: "
        "on finite samples there is an equilibrium where D cannot separate them, and a larger N "
        "ends it unless p_g = p_data."
    )


def draw(sizes: Sequence[int], found: Found, accuracy: Mapping[str, str]) -> Figure:
    """A panel for each pair: p of every test, and the median, against N."""
    figure = style.page(362, page.WIDTH)
    for i, (name, tables) in enumerate(found.items()):
        left = 84 + i * 240
        axes = style.add_axes(figure, left, 84, 215, 220, "", "N real and N generated",
                              "" if i else "p-value")  # fmt: skip
        axes.axhspan(1e-9, LEVEL, color="#F3F3F3", zorder=-2)
        for test, table in tables.items():
            n, colour = sizes[: len(table)], COLOURS[test]
            axes.plot(n, np.maximum(table, FLOOR), "o", color=colour, markersize=2.2, alpha=0.45)
            axes.plot(n, np.maximum(np.median(table, axis=1), FLOOR), color=colour, lw=1.8)
        axes.set(xscale="log", yscale="log", ylim=(FLOOR * 0.8, 1.3), xlim=(40, 65_000))
        axes.set_yticks([1, 0.05, 0.001, FLOOR], ["1", "0.05", "0.001", "<0.0001"])
        axes.set_xticks([100, 1_000, 10_000], ["100", "1,000", "10,000"])
        axes.minorticks_off()
        axes.tick_params(labelleft=i == 0)
        style.add_heading(figure, left, 40, TITLES[name])
        text = f"the best D is right in {accuracy[name]}"
        style.add_text(figure, left, 60, text, color=style.MUTED)
    page.add_names(
        figure, 8, 9.5, (84, "classifier", style.D), (164, "energy distance", style.FAKE),
        (290, "MMD", style.G), weight="bold",
    )  # fmt: skip
    note = f"lines: median of {found[EXACT]['MMD'].shape[1]} tests; shaded: p < 0.05"
    page.add_names(figure, 8, 9.5, (342, note, style.MUTED))
    return figure
