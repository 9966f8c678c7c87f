"""The recipe for data, a budget in minutes, mirror images, and weights of another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ganforge import recipes
from ganforge.cli.arguments import overrides
from ganforge.cli.commands.train import unasked
from ganforge.config.schema import Config
from ganforge.data.batches import Batches
from ganforge.data.dataset import Dataset
from ganforge.data.pack import pack
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.gan import state
from ganforge.gan.adversarial import Adversarial
from ganforge.nets import DCGAN
from ganforge.runs import load
from ganforge.runs.folder import Run
from ganforge.training import build, fitting, loop, minutes, restore, transfer
from tests.helpers.tiny import run, shortened


def folder(path: Path, count: int, size: tuple[int, int], mode: str = "RGB") -> Path:
    """`count` pictures of noise, (width, height)."""
    path.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(0)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    for i in range(count):
        pixels = chance.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels, mode).save(path / f"{size[0]}-{i:04}.png")
    return path


@pytest.mark.parametrize(
    ("size", "wanted", "why"),
    [
        ((64, 64), None, "as they are"),
        ((48, 32), None, "32 x 48, as they are"),
        ((100, 300), 128, "128 x 128"),
        ((300, 300), 128, "the largest on a CPU"),
        ((9, 9), 16, "16 x 16"),
    ],
)
def test_the_size_is_that_of_the_pictures_or_the_next_power_of_two(
    size: tuple[int, int], wanted: int | None, why: str, tmp_path: Path
) -> None:
    chosen = fitting.fit(str(folder(tmp_path / "p", 12, size)), device="cpu")
    assert chosen.config.name == "pictures"
    assert chosen.config.size == wanted
    assert why in "\n".join(chosen.reasons)


def test_mixed_sizes_take_the_most_common(tmp_path: Path) -> None:
    path = folder(tmp_path / "p", 8, (60, 60))
    folder(path, 3, (200, 200))
    chosen = fitting.fit(str(path), device="cpu")
    assert chosen.config.size == 64
    assert "2 sizes, 60 x 60 the most common" in chosen.reasons[0]


def test_pictures_of_28_pixels_keep_the_classic_with_and_without_labels(tmp_path: Path) -> None:
    plain = fitting.fit(str(folder(tmp_path / "plain", 10, (28, 28), "L")))
    assert (plain.config.name, plain.config.labels, plain.config.size) == ("cdcgan", False, None)
    for name in ("a", "b"):
        folder(tmp_path / "classes" / name, 10, (28, 28), "L")
    labelled = fitting.fit(str(tmp_path / "classes"))
    assert (labelled.config.name, labelled.config.labels) == ("cdcgan", True)
    assert "2 classes" in labelled.reasons[0]


def test_named_sets_and_vectors(tmp_path: Path) -> None:
    assert fitting.fit("mnist").config.name == "cdcgan"
    with pytest.raises(UsageError, match=r"vectors.*gaussian-stable --data spirals"):
        fitting.fit("spirals")


def test_pairs_are_for_a_recipe_that_translates(tmp_path: Path) -> None:
    for name in ("trainA", "trainB"):
        folder(tmp_path / "two" / name, 30, (40, 40))
    packed = pack(str(tmp_path / "two"), tmp_path / "packed", pairing="unpaired")
    for data in (str(tmp_path / "two"), str(packed)):
        with pytest.raises(UsageError, match="train cyclegan --data") as said:
            fitting.fit(data)
        assert f"ganforge train pix2pix --data {data}`" in str(said.value)


@pytest.mark.parametrize(
    ("count", "kimg", "colour", "on"),
    [(200, 200, 1.0, True), (8_000, 480, 0.0, True), (60_000, 600, 0.0, False)],
)
def test_budget_and_augmentation_follow_the_number_of_pictures(
    count: int, kimg: float, colour: float, on: bool
) -> None:
    from collections import Counter

    config = fitting.for_pictures(fitting.Survey(count, 3, 0, Counter({(64, 64): count})))
    assert config.kimg == kimg
    assert bool(config.game.augment) is on
    assert all(each.colour == colour for each in config.game.augment)


@pytest.mark.parametrize(
    ("options", "dotted", "left"),
    [
        ({"size": 32}, {}, ["size", "augment", "budget"]),
        ({"minutes": 2.0}, {}, ["size", "augment"]),
        ({"kimg": 1.0}, {"game.augment": "none"}, ["size"]),
        ({}, {"game.augment.0.kind": "adaptive"}, ["size", "budget"]),
    ],
)
def test_what_the_user_chose_is_not_said_to_be_chosen(
    options: dict[str, Any], dotted: dict[str, str], left: list[str]
) -> None:
    reasons = ["size     32 x 32", "augment  none", "budget   200 thousand pictures, 333 passes"]
    overrides.clear()
    overrides.update(dotted)
    try:
        assert [line.split()[0] for line in unasked(reasons, options)] == left
    finally:
        overrides.clear()


# --- minutes --------------------------------------------------------------------------------------


def small(**changes: Any) -> Config:
    config = Config(
        name="small",
        networks=DCGAN(4, 4, discriminator_norm="none"),
        game=Adversarial(),
        data="noise",
        batch=8,
        kimg=0.08,
        threads=1,
        device="cpu",
        precision="fp32",
        ema=0.9,
    )
    return replace(config, **changes)


def noise(side: int = 16, classes: int = 0) -> Dataset:
    values = np.random.default_rng(0).integers(0, 256, (64, side, side, 3), dtype=np.uint8)
    labels = np.arange(64) % classes if classes else None
    return Dataset("noise", "train", DataSpec((3, side, side), classes), values, labels)


def test_minutes_become_images_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolved by the measured rate, stored, and the same at every later start."""
    rates = iter([100.0, 900.0])
    monkeypatch.setattr(minutes, "rate", lambda config, path, data: next(rates))
    asked = small(minutes=0.02, kimg=None)
    first = minutes.resolved(asked, tmp_path / "run")
    assert first.kimg == 0.1  # 0.02 * 60 * 100 / 1000 = .12
    run(first, tmp_path / "run", noise())
    assert minutes.resolved(asked, tmp_path / "run") == first
    assert minutes.resolved(replace(asked, minutes=1.0), tmp_path / "run").kimg == 54.0
    assert minutes.resolved(small(), tmp_path / "other") == small()


def test_minutes_of_a_translator_are_measured_on_its_pairs(tmp_path: Path) -> None:
    for name in ("A", "B"):
        folder(tmp_path / name, 40, (32, 32))
    tiny = shortened(recipes.find("pix2pix"), 1)
    asked = replace(tiny, data=str(tmp_path), minutes=0.01, kimg=None)
    assert minutes.resolved(asked, tmp_path / "run").kimg > 0


def test_the_rate_is_measured_without_a_trace(tmp_path: Path) -> None:
    data = folder(tmp_path / "p", 40, (16, 16))
    config = small(data=str(data), minutes=1.0, kimg=None)
    found = minutes.resolved(config, tmp_path / "run")
    assert found.kimg is not None and found.kimg > 0.1
    assert not (tmp_path / "run").exists()


# --- mirror images --------------------------------------------------------------------------------


def test_half_of_the_pictures_are_mirrored_by_position() -> None:
    data = noise()
    plain = Batches(data, device=torch.device("cpu"), seed=3).at(0, 640).real
    found = Batches(data, device=torch.device("cpu"), seed=3, mirror=True)
    flipped = found.at(0, 640).real
    same = (flipped == plain).flatten(1).all(1)
    turned = (flipped == plain.flip(3)).flatten(1).all(1)
    assert torch.equal(same, ~turned)
    assert 250 < int(same.sum()) < 390
    assert torch.equal(found.at(100, 50).real, flipped[100:150])  # whoever asks, and for how many
    again = (found.at(64, 64).real == plain[64:128]).flatten(1).all(1)
    assert not torch.equal(again, same[:64])  # drawn anew in every pass


def test_a_source_is_mirrored_with_its_picture() -> None:
    data = noise()
    pairs = replace(data, source=data.values, spec=replace(data.spec, source=data.spec))
    rows = Batches(pairs, device=torch.device("cpu"), seed=0, mirror=True).at(0, 64)
    assert rows.source is not None
    assert torch.equal(rows.real, rows.source)


def test_vectors_have_no_mirror_images(tmp_path: Path) -> None:
    from ganforge import recipes

    for changes in ({"mirror": True}, {}):
        config = replace(recipes.RECIPES["gaussian"](), **changes)
        if not changes:
            from ganforge.augment.diffaugment import DiffAugment

            config = replace(config, game=replace(config.game, augment=(DiffAugment(),)))
        with pytest.raises(UsageError, match="changes pictures, and gaussian are vectors"):
            list(loop.train(config, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


# --- weights of another run -----------------------------------------------------------------------


def players(config: Config, data: Dataset) -> dict[str, Tensor]:
    return state.tensors(build.initial(config, data.spec))


def test_a_run_begins_with_the_weights_of_another(tmp_path: Path) -> None:
    first = tmp_path / "first"
    run(small(), first, noise())
    trained = load.saved_players(first)
    notes = [
        progress.note
        for progress in run(small(init_from=str(first), seed=9), tmp_path / "second", noise())
    ]
    assert any("begins from" in note and "new:" not in note for note in notes)
    fresh = players(small(seed=9), noise())
    assert not torch.equal(fresh["generator.body.0.weight"], trained["generator.body.0.weight"])
    # after no step at all the players are those of the first run, and the moments are new
    t = next(iter(loop.training(small(init_from=str(first), seed=9), tmp_path / "c", data=noise())))
    begun = state.tensors(t[0].state)
    for name, tensor in begun.items():
        if name.split(".")[0] in ("generator", "discriminator", "ema"):
            assert torch.equal(tensor, trained[name]), name
    assert t[0].state.step == 0


def test_a_rollback_to_the_start_begins_with_those_weights_again(tmp_path: Path) -> None:
    run(small(), tmp_path / "first", noise())
    config = small(init_from=str(tmp_path / "first"))
    t, _ = next(iter(loop.training(config, tmp_path / "second", data=noise())))
    begun = {name: tensor.clone() for name, tensor in state.tensors(t.state).items()}
    t.step()
    assert not torch.equal(state.tensors(t.state)["ema.body.0.weight"], begun["ema.body.0.weight"])
    restore.begin_again(t)
    again = state.tensors(t.state)
    weights = [name for name in begun if not name.startswith("optimizer")]
    assert all(torch.equal(again[name], begun[name]) for name in weights)


def test_from_a_model_folder_the_generator_alone_is_loaded(tmp_path: Path) -> None:
    run(small(), tmp_path / "first", noise())
    saved = load.saved_players(Run(tmp_path / "first").model)
    average = load.saved_players(tmp_path / "first")
    assert not any(name.startswith("discriminator") for name in saved)
    for name, tensor in saved.items():
        assert torch.equal(tensor, average[f"ema.{name.split('.', 1)[1]}"])


def test_the_layers_nearest_the_picture_correspond_across_sizes_and_labels() -> None:
    big, little = players(small(), noise(32, 4)), players(small(seed=5), noise(16))
    before = {name: tensor.clone() for name, tensor in big.items()}
    copied = transfer.matches(big, little)
    transfer.copy(big, copied)
    last = "generator.body.6.weight"
    assert torch.equal(big[last], little["generator.body.3.weight"])
    assert torch.equal(big["discriminator.body.0.weight"], little["discriminator.body.0.weight"])
    assert torch.equal(big["ema.body.6.weight"], little["ema.body.3.weight"])
    assert {last, "discriminator.body.0.weight"} <= set(copied)
    for name in set(big) - set(copied):
        assert torch.equal(big[name], before[name])


def test_a_killed_run_goes_on_without_the_first_one(tmp_path: Path) -> None:
    from tests.helpers.tiny import StopAfter

    run(small(), tmp_path / "first", noise())
    config = small(init_from=str(tmp_path / "first"))
    run(config, tmp_path / "whole", noise())
    run(config, tmp_path / "parts", noise(), StopAfter(5))
    (tmp_path / "first").rename(tmp_path / "gone")
    run(config, tmp_path / "parts", noise())
    a, b = (load.saved_players(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_what_cannot_be_a_beginning_is_refused_before_anything_is_written(
    what: str, tmp_path: Path
) -> None:
    path = tmp_path / "first"
    if what == "empty":
        path.mkdir()
    with pytest.raises(DataError, match="no such run or model folder"):
        run(small(init_from=str(path)), tmp_path / "run", noise())
    assert not (tmp_path / "run").exists()
