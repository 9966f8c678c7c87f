"""A sample is a function of seed, index, label and truncation: its bits, its law, its arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ganforge as gf
from ganforge import recipes
from ganforge.config.schema import Noise
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.runs import model
from ganforge.sampling.paths import closed
from ganforge.sampling.sampler import FAST, Sampler
from tests.helpers.samplers import Styled, fresh

# Floats in place of levels: a difference in the last bit counts.
DIGITS = DataSpec((1, 28, 28), 10, "float32")


SAMPLERS = {
    "cdcgan": fresh(DIGITS),
    "mnist-dropout": fresh(replace(DIGITS, classes=0), "mnist-dropout"),
    "parzen": fresh(replace(DIGITS, classes=0), "parzen"),
    "dcgan": fresh(DataSpec((3, 45, 71), 0, "float32"), "dcgan"),
}
WHOLE = {name: sampler.sample(40) for name, sampler in SAMPLERS.items()}


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=12, deadline=None)
@given(first=st.integers(0, 38), count=st.integers(1, 40))
def test_a_sample_has_the_same_bits_in_every_company(name: str, first: int, count: int) -> None:
    sampler, count = SAMPLERS[name], min(count, 40 - first)
    labels = np.arange(first, first + count) % 10 if sampler.spec.classes else None
    made = sampler.sample(count, labels, first=first)
    assert np.array_equal(made, WHOLE[name][first : first + count])


def test_neighbours_of_other_seeds_and_labels_change_nothing() -> None:
    sampler = SAMPLERS["cdcgan"]
    z, others = sampler.z(1, seed=5), sampler.z(60, seed=6)
    alone = sampler.generate(z, np.array([3]))
    for place in (0, 1, 15, 16, 37, 60):
        among = torch.cat([others[:place], z, others[place:]])
        labels = np.resize(np.arange(10), 61).astype(np.int64)
        labels[place] = 3
        assert np.array_equal(sampler.generate(among, labels)[place], alone[0])


def test_evaluation_may_do_without() -> None:
    """A caller that wants speed chooses its batch, and passes are not filled up."""
    seen: list[int] = []
    sampler = SAMPLERS["cdcgan"]
    hook = sampler.model.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    try:
        sampler.generate(sampler.z(300), sampler.labels(300), batch=FAST)
        sampler.sample(17)
    finally:
        hook.remove()
    assert seen == [256, 44, 16, 16]


# --- truncation -------------------------------------------------------------------------------


VECTORS = DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))


def test_truncation_of_plain_networks_scales_the_noise() -> None:
    sampler = SAMPLERS["cdcgan"]
    assert sampler.truncation_law == "noise"
    made = sampler.sample(5, 3, seed=1, truncation=0.5)
    assert np.array_equal(made, sampler.generate(sampler.z(5, 1) * 0.5, np.full(5, 3)))
    assert not np.array_equal(made, sampler.sample(5, 3, seed=1))
    whole = sampler.sample(5, 3, seed=1, truncation=1)
    assert np.array_equal(whole, sampler.sample(5, 3, seed=1))


def test_truncation_of_style_networks_moves_the_style() -> None:
    sampler = Sampler(Styled(), VECTORS, Noise(2))
    w, mean = sampler.sample(20) / 10, np.array([0.5, 0], np.float32)
    made = sampler.sample(20, truncation=0.25)
    np.testing.assert_allclose(made, 10 * (mean + 0.25 * (w - mean)), atol=1e-6)


def test_stylegan2_truncates_its_style() -> None:
    """A smaller z does nothing there; near 0 every sample is that of the average style."""
    sampler = fresh(DataSpec((3, 8, 8), 0, "float32"), "stylegan2")
    generator: Any = sampler.model
    generator.w_mean.copy_(generator.mapping(sampler.z(100), None).mean(0))
    smaller = sampler.generate(sampler.z(4) * 0.5)
    np.testing.assert_allclose(smaller, sampler.sample(4), rtol=1e-3, atol=0.01)
    w = generator.mapping(sampler.z(4), None).unsqueeze(1)
    ws = generator.w_mean + 0.5 * (w - generator.w_mean)
    wanted = generator.pictures(ws.expand(-1, generator.count, -1), None) * 127.5 + 127.5
    made = sampler.sample(4, truncation=0.5)
    np.testing.assert_allclose(made, wanted.permute(0, 2, 3, 1), rtol=1e-3, atol=0.01)
    assert (
        np.ptp(sampler.sample(4, truncation=1e-6), axis=0).max() < 0.1 < np.ptp(made, axis=0).max()
    )


@pytest.mark.parametrize("t", [0, -0.5, 1.01, float("nan"), float("inf"), "0.5", None, True])
def test_truncation_is_a_number_up_to_one(t: Any) -> None:
    with pytest.raises(UsageError, match=r"truncation = .*more than 0 and at most 1"):
        SAMPLERS["cdcgan"].sample(2, truncation=t)


def test_the_model_file_says_the_law_and_the_micro_batch(tmp_path: Path) -> None:
    config = recipes.find("cdcgan")
    made = Sampler(SAMPLERS["cdcgan"].model, DIGITS, config.noise, "cdcgan", micro_batch={"cpu": 8})
    model.save(tmp_path, made, config, {})
    table = json.loads((tmp_path / "config.json").read_text())
    assert table["sampling"]["truncation"] == {"law": "noise", "above": 0, "at_most": 1}
    assert gf.load(tmp_path).micro_batch["cpu"] == 8
    want = made.sample(3, truncation=0.7)
    assert np.array_equal(gf.load(tmp_path).sample(3, truncation=0.7), want)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another law": lambda sampling: sampling["truncation"].update(law="style"),
    "no size": lambda sampling: sampling["micro_batch"].update(cpu=0),
    "a size as text": lambda sampling: sampling["micro_batch"].update(cpu="16"),
    "a list": lambda sampling: sampling.update(micro_batch=[16]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_sampling_table_is_a_line(change: str, tmp_path: Path) -> None:
    model.save(tmp_path, SAMPLERS["cdcgan"], recipes.find("cdcgan"), {})
    table = json.loads((tmp_path / "config.json").read_text())
    CHANGES[change](table["sampling"])
    (tmp_path / "config.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"config\.json: "):
        gf.load(tmp_path)


# --- arguments as JSON may hold them ----------------------------------------------------------


@pytest.mark.parametrize("seed", ["1", 1.5, None, True, [1], 2**63, -(2**63)])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(UsageError, match="seed = "):
        SAMPLERS["cdcgan"].sample(2, seed=seed)


@pytest.mark.parametrize("option", ["count", "first"])
@pytest.mark.parametrize("value", ["1", 1.5, None, True, 2**64])
def test_counts_are_whole_numbers(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{option} = "):
        SAMPLERS["cdcgan"].sample(**{option: value})
    with pytest.raises(UsageError, match="first = -1"):
        SAMPLERS["cdcgan"].sample(2, first=-1)


@pytest.mark.parametrize(
    "labels",
    [[[1], [2, 3]], [[1]], {"a": 1}, [None], [True, 2], [1, 2.5], 1.0, True, [1, "x"], -1, 10,
     10**30, float("nan"), [10**30], "", b"\1", np.array([0.5]), np.ones((2, 2), int)],
    ids=repr,
)  # fmt: skip
def test_labels_are_numbers_or_names(labels: Any) -> None:
    with pytest.raises(UsageError, match="label"):
        SAMPLERS["cdcgan"].sample(2, labels)


@pytest.mark.parametrize(("count", "dots"), [(12, False), (13, True)])
def test_an_error_lists_twelve_class_names(count: int, dots: bool) -> None:
    names = tuple(f"kind{i:02}" for i in range(count))
    sampler = replace(SAMPLERS["cdcgan"], spec=replace(DIGITS, classes=count), class_names=names)
    with pytest.raises(UsageError) as caught:
        sampler.label("none")
    assert f"({', '.join(names[:12])}{', ...' * dots})" in str(caught.value)


def test_whole_numbers_of_numpy_will_do() -> None:
    sampler = SAMPLERS["cdcgan"]
    want = sampler.sample(2, [1, 2], seed=3)
    given = (np.int64(2), [np.int64(1), np.int32(2)], np.int64(3))
    assert np.array_equal(sampler.sample(*given), want)
    assert np.array_equal(sampler.sample(2, np.array([1, 2]), 3), want)
    assert np.array_equal(sampler.sample(2, torch.tensor([1, 2]), 3), want)  # type: ignore[arg-type]
    assert np.array_equal(sampler.sample(2, range(1, 3), 3), want)
    assert np.array_equal(sampler.sample(2, np.int64(1), 3), sampler.sample(2, 1, 3))


def test_the_errors_of_the_face() -> None:
    assert gf.UsageError is UsageError and gf.DataError is DataError


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_a_loop_has_no_seam(law: str) -> None:
    """Its last step is as short as its neighbours, and it begins at the first noise."""
    sampler = replace(SAMPLERS["cdcgan"], noise=Noise(16, law))
    a, b = sampler.z(2).unsqueeze(1).chunk(2)
    z = closed(a, b, torch.linspace(0, 1, 41)[:40].unsqueeze(1), law)[0]
    assert torch.equal(z[0], a[0, 0])
    steps = (z - z.roll(-1, 0)).norm(dim=1)
    assert steps.max() < 0.2 * (a - b).norm() and steps[-1] <= 1.3 * steps[-2]
    assert (z - a[0]).norm(dim=1).max() > 0.9 * (a - b).norm()


def test_a_loop_is_of_the_samples_of_its_noises() -> None:
    sampler = SAMPLERS["cdcgan"]
    made = sampler.interpolate(2, 4, labels=[3, 5], truncation=0.5, loop=True)
    a, b = sampler.z(4, stream="interpolate/z").chunk(2)
    z = torch.stack([a, b, -a, -b], 1).flatten(0, 1)
    wanted = sampler.generate(z, np.repeat([3, 5], 4), 0.5)
    assert np.abs(made - wanted).max() < 1e-3 * np.abs(wanted).max()
