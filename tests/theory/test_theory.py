"""The lab: gradients, D* and C(G) against closed forms; each experiment, shortened, draws."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge import theory
from ganforge.cli import main
from ganforge.data import load, toy
from ganforge.theory import exact, page
from ganforge.theory.experiments import (
    divergence,
    equilibrium,
    figure1,
    landscape,
    losses,
    noise,
)
from ganforge.theory.games import count_steps, game, play, play_to_end, train_one_player
from ganforge.theory.page import Experiment, Shown

LINE = exact.cells(-12, 14, 2600)
X = exact.midpoints(LINE)


def played_out(experiment: Experiment) -> tuple[list[str], Shown]:
    """The lines an experiment yields, and what it returns."""
    lines = []
    while True:
        try:
            lines.append(next(experiment))
        except StopIteration as end:
            return lines, end.value


def normal(shift: float = 0.0, scale: float = 1.0) -> toy.Gaussian:
    return toy.Gaussian(((scale,),), (shift,))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# --- gradients ---------------------------------------------------------------------------------

SLOPES: dict[str, Callable[[float], float]] = {
    "minimax": lambda a: -sigmoid(a),
    "non-saturating": lambda a: -sigmoid(-a),
    "relativistic": lambda a: -sigmoid(-a),
    "least-squares": lambda a: a - 1,
    "wasserstein": lambda a: -1.0,
    "squared error": lambda a: -sigmoid(a) * sigmoid(-a) ** 2,
}


@pytest.mark.parametrize("name", losses.GENERATORS)
@pytest.mark.parametrize("logit", [-30.0, -8.0, -1.0, 0.0, 0.5, 8.0, 30.0])
def test_gradients_are_the_closed_forms(name: str, logit: float) -> None:
    _, slope = losses.curve(name, np.array([logit]))
    assert slope[0] == pytest.approx(SLOPES[name](logit), rel=1e-9, abs=1e-13)


def test_values_at_even_odds() -> None:
    values = {name: losses.curve(name, np.zeros(1))[0][0] for name in losses.GENERATORS}
    log2 = math.log(2)
    assert values == pytest.approx(
        {"minimax": -log2, "non-saturating": log2, "relativistic": log2, "least-squares": 0.5,
         "wasserstein": 0.0, "squared error": 0.125}
    )  # fmt: skip


# --- what is known exactly -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shift", "c"), [(0.0, -1.386294), (0.5, -1.3257), (1.0, -1.1635), (3.0, -0.3327)]
)
def test_c_of_two_gaussians(shift: float, c: float) -> None:
    p, q = (exact.law_cells(law, LINE) for law in (normal(), normal(shift)))
    assert exact.best_value(p, q) == pytest.approx(c, abs=1e-4)
    assert exact.jensen_shannon(p, q) == pytest.approx((c + math.log(4)) / 2, abs=1e-4)
    accuracy = exact.best_accuracy(normal(), normal(shift))
    assert accuracy == pytest.approx(0.5 * (1 + math.erf(shift / 2 / math.sqrt(2))), abs=4e-3)


def test_the_best_accuracy_in_the_plane() -> None:
    """Two round Gaussians at a distance are a matter of one dimension."""
    p = toy.Gaussian(((1.0, 0.0), (0.0, 1.0)), (0.0, 0.0))
    q = toy.Gaussian(((0.0, 1.0), (1.0, 0.0)), (0.6, 0.8))
    accuracy = exact.best_accuracy(p, q)
    assert accuracy == pytest.approx(0.5 * (1 + math.erf(0.5 / math.sqrt(2))), abs=4e-3)


def test_the_best_discriminator_of_two_gaussians() -> None:
    """Equal widths: its logit is linear, s^2 / 2 - s x; no other D has a larger value."""
    p, q = (exact.law_cells(law, LINE) for law in (normal(), normal(1.5)))
    best = exact.best_discriminator(p, q)
    logit = 1.5**2 / 2 - 1.5 * X
    near = np.abs(X) < 5
    np.testing.assert_allclose(best[near], 1 / (1 + np.exp(-logit[near])), rtol=1e-9)
    c = exact.best_value(p, q)
    assert exact.value(p, q, logit) == pytest.approx(c, abs=1e-9)
    for other in (logit * 0.8, logit + 0.2, np.zeros_like(X)):
        assert exact.value(p, q, other) < c
    assert exact.value(p, q, np.zeros_like(X)) == pytest.approx(-math.log(4), abs=1e-9)


def test_the_best_d_is_nan_where_both_densities_are_0() -> None:
    best = exact.best_discriminator(np.array([0.0, 0.5, 0.5]), np.array([0.0, 0.5, 0.0]))
    np.testing.assert_array_equal(best, [np.nan, 0.5, 1.0])


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_change_of_variables(law: str) -> None:
    """p_g of a linear G, of a folding one, and of one that leaves the line."""
    edges = exact.cells(-6, 6, 60)
    z = exact.law_cells(normal(), edges)
    if law == "uniform":
        z = np.where(np.abs(exact.midpoints(edges)) < 1, 0.1, 0.0)
    same = exact.generator_cells(lambda z, label, masks: z, law, edges)
    assert same == pytest.approx(z, abs=2e-3)
    folded = exact.generator_cells(lambda z, label, masks: z.abs(), law, edges)
    assert folded[:30].sum() == 0 and folded[30:] == pytest.approx(2 * same[30:], abs=2e-4)
    assert exact.generator_cells(lambda z, label, masks: z + 100, law, edges).sum() == 0


def test_the_density_of_a_linear_generator() -> None:
    state = play_to_end(game("gaussian", steps=2)).state
    law = exact.linear_generator(state.players.generator)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = state.players.generator(z, None, None).numpy()
    np.testing.assert_allclose(x, z.numpy() @ np.array(law.matrix) + law.mean, rtol=1e-4)


# --- games ---------------------------------------------------------------------------------------


def test_a_game_is_seen_at_its_start_its_intervals_and_its_end() -> None:
    config = game("figure1", steps=5)
    assert count_steps(config) == 5
    assert [t.state.step for t in play(config, 2)] == [0, 2, 4, 5]


def test_turns_move_one_player_and_leave_the_game_alone() -> None:
    training = play_to_end(game("figure1", steps=2))
    branch = copy.deepcopy(training.state)

    def flat(state: object, side: str) -> torch.Tensor:
        module = getattr(state.players, side)  # type: ignore[attr-defined]
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    before = {s: flat(training.state, s).clone() for s in ("generator", "discriminator")}
    train_one_player(training, branch, "discriminator", 3)
    assert branch.step == training.state.step + 3
    assert not torch.equal(flat(branch, "discriminator"), before["discriminator"])
    assert torch.equal(flat(branch, "generator"), before["generator"])
    train_one_player(training, branch, "generator", 1)
    assert not torch.equal(flat(branch, "generator"), before["generator"])
    for side, values in before.items():
        assert torch.equal(flat(training.state, side), values)


def test_the_recipes_line_covers_the_law() -> None:
    """The cells hold all of p_data: what is integrated over them is the whole."""
    for edges in (figure1.EDGES, divergence.EDGES, noise.EDGES):
        assert exact.law_cells(toy.LAWS["mixture1d"], edges).sum() == pytest.approx(1, abs=1e-5)


def test_arrows_lead_up_the_discriminator() -> None:
    """-dL_G/dx of the non-saturating loss is (1 - D) times the logit's slope."""
    data = landscape.ring_data(0)
    training = [*play(landscape.config(rounds=2), 1, data)][-1]
    flow = landscape.flow(training.state.players)
    x = landscape.square(landscape.ARROWS, landscape.REACH * 0.93)
    step = 1e-2
    discriminator = training.state.players.discriminator
    d = 1 / (1 + np.exp(-exact.logits(discriminator, x)))
    for axis in range(2):
        ahead = [exact.logits(discriminator, x + s * np.eye(2)[axis]) for s in (step, -step)]
        slope = (1 - d) * (ahead[0] - ahead[1]) / (2 * step)
        assert np.median(np.abs(flow[:, axis] - slope)) < 1e-4


# --- every experiment ----------------------------------------------------------------------------

SHORT: dict[str, dict[str, object]] = {
    "figure1": {"steps": 4, "d_turns": 3},
    "losses": {},
    "divergence": {"steps": 4, "n": 100},
    "equilibrium": {"steps": 2, "sizes": (50, 60), "repeats": 1},
    "noise": {"steps": 2, "seeds": 2},
    "landscape": {"rounds": 3, "frames": 2},
}


@pytest.mark.parametrize("name", theory.EXPERIMENTS)
def test_an_experiment_draws_and_writes_two_sentences(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = theory.EXPERIMENTS[name]
    monkeypatch.setitem(theory.EXPERIMENTS, name, lambda seed: short(seed, **SHORT[name]))
    monkeypatch.chdir(tmp_path)
    assert main(["lab", name, "--seed", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"runs/lab/{name}-seed-1.png" in printed
    assert len(re.findall(r"\.(?= [A-Z]|$)", printed[-1])) == 2, printed[-1]
    with Image.open(f"runs/lab/{name}-seed-1.png") as picture:
        assert picture.width == 2 * page.WIDTH
    film = Path(f"runs/lab/{name}-seed-1.gif")
    assert film.exists() == (name in ("figure1", "landscape"))
    files = {f"{name}-seed-1.png", f"{name}-seed-1.gif"}
    assert {p.name for p in Path("runs/lab").iterdir()} <= files
    if film.exists():
        with Image.open(film) as picture:
            assert picture.n_frames >= 1  # type: ignore[attr-defined]


def test_the_same_seed_shows_the_same() -> None:
    a, b, c = (played_out(noise.noise(seed, steps=2, seeds=2)) for seed in (3, 3, 4))
    assert a[0] == b[0] != c[0] and a[1].says == b[1].says != c[1].says


def test_many_turns_of_g_collapse_the_game() -> None:
    """Far fewer rounds than the figure's: the samples of the hasty game lie on one spot."""
    data = landscape.ring_data(0)
    spread = {}
    for many in (1, landscape.MANY):
        config = replace(landscape.config(many, rounds=25), batch=64)
        ended = [*play(config, 25, data)][-1]
        spread[many] = float(landscape.moment(ended, 0).samples.std(0).mean())
    assert spread[landscape.MANY] < 0.5 * spread[1]


def test_when_a_test_has_noticed() -> None:
    table = np.array([[0.01, 0.01], [0.5, 0.9], [0.01, 0.03], [0.001, 0.01]])
    assert equilibrium.noticed((50, 100, 200, 500), table) == 200
    assert equilibrium.noticed((50,), table[:1]) == 50
    assert equilibrium.noticed((50, 100), table[:2]) is None


# --- the command ---------------------------------------------------------------------------------


def test_a_list_of_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()[: len(theory.EXPERIMENTS)]
    assert [line.split()[0] for line in lines] == list(theory.EXPERIMENTS)
    assert lines[1].endswith(" its gradient against D's logit: saturation.")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lab", "figure2"], "did you mean 'figure1'?"),
        (["lab", "magic"], "known: divergence, equilibrium, figure1, landscape, losses, noise"),
        (["lab", "losses", "-o", "x.jpg"], "x.jpg: expected a file name ending in .png"),
        (["lab", "losses", "--seed", "many"], "many"),
    ],
)
def test_the_lab_refuses_bad_input_in_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_the_output_path_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "losses", "-o", str(tmp_path / "a/b.png")]) == 0
    assert (tmp_path / "a/b.png").read_bytes().startswith(b"\x89PNG")


def test_theory_names_the_command_of_every_figure() -> None:
    root = Path(__file__).parents[2] / "docs"
    text = (root / "theory.md").read_text()
    for name in theory.EXPERIMENTS:
        assert f"`ganforge lab {name}`" in text, name
        assert f"images/{name}.png" in text and (root / f"images/{name}.png").exists()
        assert (root / f"images/{name}.png").stat().st_size < 150_000
    for film in root.glob("images/*.gif"):
        assert film.stat().st_size < 1_000_000
    assert load.load("mixture1d").spec.shape == (1,)
