"""The game in other frameworks: what holds without installing one of them."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.speed.frameworks import __main__ as parent
from benchmarks.speed.frameworks import environment, gradients, measure, table
from benchmarks.speed.frameworks.environment import ENVIRONMENTS, UnavailableError
from benchmarks.speed.frameworks.gradients import Case

ROOT = Path(__file__).parents[2]

EXACT = Case(3, torch.float64)


@pytest.fixture(scope="module")
def case():
    return gradients.case(EXACT)


def by_hand(given):
    """Gradients of one turn of each player in NumPy: backpropagation written out."""
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731

    def forward(layers, x):
        activations = [x]
        for i, (w, b) in enumerate(layers):
            x = x @ w + b
            x = np.tanh(x) if i < len(layers) - 1 else x
            activations.append(x)
        return activations

    def backward(layers, activations, delta):
        found = []
        for i in reversed(range(len(layers))):
            found.insert(0, (activations[i].T @ delta, delta.sum(0)))
            delta = delta @ layers[i][0].T
            delta = delta * (1 - activations[i] ** 2) if i else delta
        return found, delta

    G, D, later = (measure.layers(given, name) for name in ("G", "D", "later"))
    fake = forward(G, given["noise"])
    real, faked = forward(D, given["real"]), forward(D, fake[-1])
    of_real, _ = backward(D, real, (sigmoid(real[-1]) - 1) / 2)
    of_fake, _ = backward(D, faked, sigmoid(faked[-1]) / 2)
    both = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(of_real, of_fake, strict=True)]
    judged = forward(later, fake[-1])
    _, delta = backward(later, judged, sigmoid(judged[-1]) - 1)
    of_G, _ = backward(G, fake, delta)
    return measure.named("D", both) | measure.named("G", of_G)


def test_our_gradients_are_those_of_the_game_written_out(case):
    given, ours = case
    errors = gradients.differences(by_hand(given), ours)
    assert len(errors) == 8 and max(errors.values()) < 1e-12


def test_the_generators_turn_is_against_the_updated_discriminator(case):
    given, ours = case
    assert not np.allclose(given["D.W0"], given["later.W0"], atol=1e-3)
    early = by_hand(given | {k.replace("D.", "later."): given[k] for k in given if k[:2] == "D."})
    assert "G.W0" in gradients.off(gradients.differences(early, ours))


@pytest.mark.parametrize("name", ["D.W0", "D.b2", "G.W0", "G.b0"])
def test_a_gradient_off_by_a_thousandth_is_reported(case, name):
    _, ours = case
    found = {key: value.copy() for key, value in ours.items()}
    assert gradients.off(gradients.differences(found, ours)) == []
    found[name] *= 1.001
    assert gradients.off(gradients.differences(found, ours)) == [name]
    found[name][:] = np.nan
    assert gradients.off(gradients.differences(found, ours)) == [name]


def test_gradients_of_another_shape_precision_or_name_are_refused(case):
    _, ours = case
    for wrong in (
        ours | {"D.W0": ours["D.W0"].T},
        ours | {"D.W0": ours["D.W0"].astype(np.float32)},
        {k: v for k, v in ours.items() if k != "G.b0"},
    ):
        with pytest.raises(ValueError, match="expected"):
            gradients.differences(wrong, ours)


def test_weights_and_gradients_go_through_files_without_pickle(case, tmp_path, monkeypatch):
    given, ours = case
    np.savez(tmp_path / "turn.npz", **given)
    out = tmp_path / "out"
    out.mkdir()
    words = ["script", "gradients", str(out), str(tmp_path / "turn.npz")]
    monkeypatch.setattr(sys, "argv", words)
    measure.main({}, {}, by_hand)
    with np.load(out / "turn.npz", allow_pickle=False) as file:
        assert gradients.off(gradients.differences(dict(file), ours), 1e-12) == []


def test_the_first_epoch_is_timed_apart():
    clock = measure.Clock()
    clock.report(2.0, 2.0)
    clock.report(0.7, 0.6)
    clock.wall, clock.cpu = [0.0, 10.0, 12.0], [0.0, 4.0, 5.0]
    found = clock.result()
    assert (found["first"], found["first_cpu"]) == (10.0, 4.0)
    assert (found["rate"], found["rate_cpu"]) == (500.0, 1000.0)
    assert (found["loss_D"], found["loss_G"], found["epochs"]) == (0.7, 0.6, 2)


def game(side, seed=0, rate=1000.0, loss=0.693, scale=1.0):
    covariance = [[1.01 * scale, 1.95 * scale], [1.95 * scale, 4.25 * scale]]
    return {
        "side": side, "seed": seed, "rate": rate / 2, "rate_cpu": rate, "first_cpu": 1.0,
        "loss_D": loss, "loss_G": loss, "covariance": covariance, "versions": {"x": "1"},
    }  # fmt: skip


def result(games, **more):
    errors = {"jax": {gradients.EXACT[0].name: {"D.W0": 1e-15, "G.W0": 2e-14}}}
    return {
        "date": "2026-01-01", "machine": "m", "seeds": [0, 1], "epochs": 20, "missing": {},
        "failed": [], "gradients": errors, "games": games, **more,
    }  # fmt: skip


def test_the_tables_hold_medians_ratios_and_every_game():
    eager, scan = table.SIDES[0].name, "JAX, epoch as lax.scan"
    games = [game(eager, rate=200.0), game(scan, 0, 1000.0), game(scan, 1, 3000.0, 0.72, 0.8)]
    text = table.page(result(games, missing={"mxnet": "no wheel"}))
    assert f"| {eager} | 200 | 100 | 1.0 | 1.0 | - | - |" in text
    assert f"| {scan} | 2,000 | 1,000 | 10.0 | 1.0 | 2.0e-14 | - |" in text
    assert f"| {scan} | 0 | 0.693 / 0.693 | yes | 1.01, 1.95, 4.25 | 0% |" in text
    assert f"| {scan} | 1 | 0.720 / 0.720 | no | 0.81, 1.56, 3.40 | 20% |" in text
    assert "log 2 in 2 of 3 games" in text and "within 10% in 2." in text
    assert "- mxnet is left out: no wheel" in text
    assert not re.search(r"^\| (MXNet|PyTorch)", text, re.MULTILINE)


def test_without_tensorflow_there_are_no_ratios_to_it():
    text = table.page(result([game("JAX, jitted step")]))
    assert "| JAX, jitted step | 1,000 | 500 | - | 1.0 |" in text


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_requirements_are_pinned(name):
    lines = ENVIRONMENTS[name].requirements.read_text().split()
    assert lines and all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines)
    wanted = {
        "tensorflow": {"tensorflow_cpu==2.21.0"},
        "mxnet": {"mxnet==1.9.1", "numpy==1.23.5"},
        "jax": {"jax==0.10.2", "jaxlib==0.10.2"},
    }
    assert wanted[name] <= set(lines)


def test_the_frameworks_are_no_dependencies():
    requirements = (ROOT / "pyproject.toml").read_text() + (ROOT / "constraints.txt").read_text()
    assert not re.search(r"^\W*(tensorflow|mxnet|jax|jaxlib|keras)\b", requirements, re.MULTILINE)
    assert "/.bench/" in (ROOT / ".gitignore").read_text().split()


def test_every_side_has_a_script_and_an_environment():
    for side in table.SIDES:
        assert (ROOT / f"benchmarks/speed/frameworks/in_{side.framework}.py").is_file()
        assert side.framework in {parent.OWN, *ENVIRONMENTS}
    assert {side.framework for side in table.SIDES} == {parent.OWN, *ENVIRONMENTS}


def test_what_cannot_be_installed_is_left_out_with_its_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(UnavailableError, match=r"needs Python 2\.6, and none is on the path"):
        environment.interpreter(("2.6",))
    pip = "Collecting mxnet\nERROR: No matching distribution found for mxnet==1.9.1\n[notice] new"
    assert environment.last_word(pip).endswith("found for mxnet==1.9.1")

    def no_wheel(command, **options):
        error = pip if "pip" in command else ""
        return subprocess.CompletedProcess(command, 1 if error else 0, "", error)

    monkeypatch.setattr(environment.subprocess, "run", no_wheel)
    found, missing = parent.pythons(["jax"], tmp_path)
    assert list(found) == [parent.OWN] and "No matching distribution" in missing["jax"]
    assert "jax is left out: ERROR: No matching distribution" in capsys.readouterr().err


def test_an_installation_that_was_cut_off_is_made_anew(tmp_path, monkeypatch):
    made = []

    def quietly(command):
        made.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(environment, "quietly", quietly)
    first = environment.ready(ENVIRONMENTS["jax"], tmp_path)
    assert len(made) == 2
    assert environment.ready(ENVIRONMENTS["jax"], tmp_path) == first and len(made) == 2
    (first.parent.parent / environment.MARK).unlink()
    assert environment.ready(ENVIRONMENTS["jax"], tmp_path) == first and len(made) == 4


def test_a_side_that_fails_is_told_and_the_others_play(tmp_path, monkeypatch):
    sides = [s for s in table.SIDES if s.framework in ("jax", "mxnet")]

    def ask(python, framework, words):
        if framework == "mxnet":
            raise UnavailableError("ended with -11")
        return '{"rate_cpu": 1.0}'

    monkeypatch.setattr(parent, "ask", ask)
    found = {"jax": Path("a"), "mxnet": Path("b")}
    played, failed = parent.games(sides, found, [0], 20)
    assert [g["side"] for g in played] == ["JAX, jitted step", "JAX, epoch as lax.scan"]
    assert failed[0] == "MXNet, Gluon, seed 0: ended with -11"
