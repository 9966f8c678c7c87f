"""Configs: TOML both ways, overrides, differences, and errors of one line."""

import contextlib
import dataclasses
import linecache
import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ganforge import recipes
from ganforge.config import convert, user_code
from ganforge.config.schema import Average, Config, Noise, Optimizer, Output
from ganforge.config.user_code import UserCode
from ganforge.errors import UsageError
from ganforge.gan import optimizers
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.losses import LOSSES
from ganforge.gan.penalties import R1, R2, GradientPenalty
from ganforge.nets import DCGAN, MLP, Init
from ganforge.recipes import RECIPES
from ganforge.registry import PARTS

# --- configs of every kind --------------------------------------------------------------------

share = st.floats(0, 1, exclude_max=True)
amount = st.floats(0, 1e6)
positive = st.floats(1e-12, 1e6)
count = st.integers(1, 5000)
widths = st.lists(count, max_size=4).map(tuple)
text = st.text(max_size=20)
inits = st.builds(Init, st.sampled_from(["default", "normal", "uniform"]), positive, st.booleans())
labels = st.sampled_from(["concat", "projection"])
norms = st.sampled_from(["none", "batch", "batch-after-first"])
activations = st.sampled_from(["leaky", "relu", "tanh", "sigmoid"])
mlps = st.builds(
    MLP, widths, widths, norms, norms, share, share, activations, activations, count, labels, inits
)
dcgans = st.builds(
    DCGAN, count, count, st.sampled_from(["none", "batch"]), st.booleans(), st.booleans(), count,
    labels, inits,
)  # fmt: skip
penalties = st.one_of(
    st.builds(R1, amount, count),
    st.builds(R2, amount, count),
    st.builds(GradientPenalty, amount, amount, count),
)
games = st.builds(
    Adversarial,
    loss=st.sampled_from(sorted(LOSSES)),
    reduction=st.sampled_from(["mean", "sum"]),
    halve=st.booleans(),
    d_steps=count,
    g_steps=count,
    fresh_noise=st.booleans(),
    fake_labels=st.sampled_from(["uniform", "data"]),
    penalties=st.lists(penalties, max_size=3).map(tuple),
)
rates = st.builds(
    Optimizer, st.sampled_from(["adam", "sgd", "rmsprop"]), amount, st.tuples(share, share), share,
    amount, share, share,
)  # fmt: skip
buffers = st.sampled_from(["copy", "average"])
decays = st.floats(1e-9, 1, exclude_max=True)
averages = st.one_of(
    st.builds(Average, decays, count, st.booleans(), buffers=buffers),
    st.builds(Average, decays, st.just(0), st.booleans(), buffers=buffers),
    st.builds(Average, half_life=positive, ramp_up=share, buffers=buffers),
    st.just(Average()),
)
configs = st.builds(
    Config,
    name=text,
    networks=st.one_of(mlps, dcgans),
    game=games,
    data=text,
    size=st.none() | st.integers(1, 4096),
    labels=st.booleans(),
    seed=st.integers(-(2**62), 2**62),
    batch=count,
    epochs=positive,
    kimg=st.none() | positive,
    noise=st.builds(Noise, count, st.sampled_from(["normal", "uniform"])),
    generator=rates,
    discriminator=rates,
    ema=share | averages,
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:1", "mps"]),
    precision=st.sampled_from(["auto", "fp32", "bf16"]),
    threads=st.integers(0, 64),
    output=st.builds(Output, count, positive, positive, count, count),
)


@settings(max_examples=100, deadline=None)
@given(configs)
def test_toml_both_ways(one: Config) -> None:
    again = convert.loads(convert.dumps(one), PARTS)
    assert again == one
    assert convert.config_hash(again) == convert.config_hash(one)
    assert convert.difference(convert.to_dict(one), convert.to_dict(again)) == []


@settings(max_examples=60, deadline=None)
@given(configs, configs)
def test_difference_names_what_differs(one: Config, other: Config) -> None:
    table, new = convert.to_dict(one), convert.to_dict(other)
    changed = convert.difference(table, new)
    assert (changed == []) == (one == other)
    assert [(k, b, a) for k, a, b in changed] == [
        c for key in [k for k, _, _ in changed]
        for c in convert.difference(new, table) if c[0] == key
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_recipes_both_ways(recipe: str) -> None:
    one = recipes.find(recipe)
    again = convert.loads(convert.dumps(one), PARTS)
    assert again == one
    assert type(again.networks) is type(one.networks)
    assert convert.config_hash(again) == convert.config_hash(one)
    assert convert.merge(one, tomllib.loads(convert.dumps(one)), PARTS) == one


# --- overrides --------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "number"), [(".001", 0.001), (".5e-2", 0.005), ("1e-3", 0.001)])
def test_numbers_as_people_type_them(text: str, number: float) -> None:
    one = convert.override(recipes.find("cdcgan"), {"generator.lr": text}, PARTS)
    assert one.generator.lr == number


def test_settings_replace_fields_by_dotted_path() -> None:
    one = convert.override(
        recipes.find("cdcgan"),
        {
            "generator.lr": "1e-3",
            "game.penalties.1.gamma": "7",
            "networks.init.scale": "0.5",
            "networks.discriminator_norm": "batch",
            "labels": "false",
            "size": "64",
            "data": "some/folder.zip",
            "discriminator.betas": "[0.1, 0.2]",
            "epochs": "3",
        },
        PARTS,
    )
    assert one.generator.lr == 1e-3
    assert one.game.penalties == (R1(0.1, 4), R2(7.0, 4))
    assert one.networks.init.scale == 0.5
    assert one.networks.discriminator_norm == "batch"
    assert (one.labels, one.size, one.data) == (False, 64, "some/folder.zip")
    assert one.discriminator.betas == (0.1, 0.2)
    assert isinstance(one.epochs, float)
    assert convert.override(one, {"size": "none"}, PARTS).size is None


def test_a_list_may_be_given_whole() -> None:
    base = recipes.find("mnist-mlp")
    one = convert.override(
        base,
        {
            "networks.generator": "[32, 64]",
            "game.penalties": "[{kind = 'r1', gamma = 2.0}, {kind = 'gradient-penalty'}]",
        },
        PARTS,
    )
    assert one.networks.generator == (32, 64)
    assert one.game.penalties == (R1(2.0), GradientPenalty())
    assert convert.override(one, {"game.penalties": "[]"}, PARTS).game.penalties == ()


def test_a_new_kind_starts_from_its_own_defaults() -> None:
    base = recipes.find("mnist-mlp")
    one = convert.override(base, {"networks.kind": "dcgan", "networks.embedding": "3"}, PARTS)
    assert one.networks == DCGAN(embedding=3)
    same = convert.override(base, {"networks.kind": "mlp"}, PARTS)
    assert same == base
    other = convert.override(recipes.find("cdcgan"), {"game.penalties.0.kind": "r2"}, PARTS)
    assert other.game.penalties == (R2(), R2(0.1, 4))


def test_an_average_by_dotted_settings() -> None:
    """A number stands for decay and warm-up; one form takes the place of the other."""
    base = recipes.find("cdcgan")
    assert base.ema == 0.998

    def ema(old: Config = base, **texts: str) -> Average | float:
        one = convert.override(old, {f"ema.{k}": v for k, v in texts.items()}, PARTS)
        if "none" not in texts.values():  # a file says the same
            file = tomllib.loads("[ema]\n" + "".join(f"{k} = {v}\n" for k, v in texts.items()))
            assert convert.merge(old, file, PARTS) == one
        return one.ema

    assert ema(half_life="10000") == Average(half_life=10_000)
    assert ema(half_life="10000", ramp_up="0.05") == Average(half_life=10_000, ramp_up=0.05)
    assert ema(decay="0.9") == 0.9
    assert ema(warmup="false") == Average(decay=0.998)
    assert ema(half_life="0.0") == 0.998
    assert ema(start="7") == Average(decay=0.998, start=7, warmup=True)
    assert ema(warmup="none") == Average(decay=0.998)
    slow = replace(base, ema=Average(half_life=10_000, ramp_up=0.05, buffers="average"))
    assert ema(slow, decay="0.9") == Average(decay=0.9, buffers="average")
    assert ema(slow, half_life="5") == Average(half_life=5, ramp_up=0.05, buffers="average")
    assert ema(slow, half_life="none", ramp_up="none", buffers="none") == 0
    assert ema(replace(base, ema=0.0), decay="0.9") == Average(decay=0.9)
    assert convert.override(slow, {"ema": "0.9"}, PARTS).ema == 0.9
    assert convert.override(slow, {"ema": "none"}, PARTS).ema == 0
    refused({"ema.half_life": "5", "ema.decay": "0.9"}, "ema.half_life = 5", "one of the two")


def test_merge_lays_a_partial_table_over() -> None:
    base = recipes.find("cdcgan")
    one = convert.merge(base, {"generator": {"lr": 0.5}, "batch": 7}, PARTS)
    assert one == replace(base, generator=replace(base.generator, lr=0.5), batch=7)
    other = convert.merge(base, {"networks": {"kind": "mlp", "generator": [3]}}, PARTS)
    assert other.networks == MLP(generator=(3,))


# --- errors -----------------------------------------------------------------------------------


def refused(settings: dict[str, str], *words: str, recipe: str = "cdcgan") -> None:
    with pytest.raises(UsageError) as caught:
        convert.override(recipes.find(recipe), settings, PARTS)
    line(caught.value, *words)


def line(error: UsageError, *words: str) -> None:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 500
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("generater.lr", "1", ["generater.lr", "did you mean 'generator'"]),
        ("generator.lrr", "1", ["generator.lrr", "did you mean 'lr'"]),
        ("epoch", "1", ["'epoch'", "did you mean 'epochs'"]),
        ("networks.kind", "dcgen", ["dcgen", "did you mean 'dcgan'"]),
        ("game.loss", "hing", ["hing", "did you mean 'hinge'"]),
        ("precision", "fp23", ["fp23", "did you mean 'fp32'"]),
        ("batch", "0", ["batch = 0", "at least 1"]),
        ("batch", "8.5", ["batch", "8.5", "int"]),
        ("batch", "true", ["batch", "int"]),
        ("batch", "many", ["batch", "'many'", "int"]),
        ("labels", "1", ["labels", "bool"]),
        ("labels", "yes", ["labels", "'yes'", "bool"]),
        ("name", "3", ["name", "str"]),
        ("data", "2024-01-01", ["data", "str"]),
        ("epochs", "-1", ["epochs", "-1"]),
        ("epochs", "inf", ["epochs", "inf"]),
        ("epochs", "nan", ["epochs", "nan"]),
        ("output.sample_every", "inf", ["sample_every", "inf"]),
        ("output.save_every", "inf", ["save_every", "inf"]),
        ("output.save_every", "0", ["save_every", "more than 0 epochs"]),
        ("output.log_every", "-1", ["log_every", "0 or more"]),
        ("generator.lr", "-0.1", ["generator.lr", "-0.1"]),
        ("generator.betas", "[0.5]", ["generator.betas", "2 values"]),
        ("generator.betas", "0.5", ["generator.betas", "list"]),
        ("generator.betas", "[0.5, 1.0]", ["betas", "[0, 1)"]),
        ("generator", "adam", ["generator", "'adam'", "table"]),
        ("generator.kind", "sgd", ["generator.kind", "name"]),
        ("generator.lr.x", "1", ["generator.lr.x"]),
        ("game.penalties.9.gamma", "1", ["game.penalties.9.gamma"]),
        ("game.penalties.x.gamma", "1", ["game.penalties.x.gamma"]),
        ("seed", "1\nbatch = 2", ["seed", "int"]),
        ("game.penalties.²", "1", ["game.penalties.²"]),
        ("game.penalties", "[{gamma = 1.0}]", ["game.penalties.0", "kind"]),
        ("game.penalties", "[{kind = 'grad-penalty'}]", ["did you mean 'gradient-penalty'"]),
        ("game.smoothing", "0.1", ["smoothing", "relativistic"]),
        ("networks", "{generator_width = 3}", ["networks", "kind"]),
        ("networks", "7", ["networks", "kind"]),
        ("device", "gpu", ["device", "gpu", "cuda"]),
        ("ema", "1.0", ["ema", "1.0", "decay in [0, 1)"]),
        ("ema", "often", ["ema", "'often'", "float"]),
        ("ema", "true", ["ema", "float"]),
        ("ema", "{half_lfe = 3}", ["ema.half_lfe", "did you mean 'half_life'"]),
        ("ema", "{decay = 0.9, half_life = 3.0}", ["ema.half_life = 3.0", "one of the two"]),
        ("ema", "{start = 3}", ["ema.start = 3", "decay > 0"]),
        ("ema", "{half_life = 9.0, start = 3}", ["ema.start = 3", "decay > 0"]),
        ("ema", "{half_life = 9.0, warmup = true}", ["ema.warmup = True", "decay > 0"]),
        ("ema", "{buffers = 'average'}", ["ema.buffers", "half_life > 0"]),
        ("ema.decay", "1.0", ["ema.decay = 1.0", "[0, 1)"]),
        ("ema.decay", "nan", ["ema.decay"]),
        ("ema.half_life", "-1", ["ema.half_life = -1", "0 or more images"]),
        ("ema.half_life", "inf", ["ema.half_life", "inf"]),
        ("ema.start", "-1", ["ema.start = -1", "step 0"]),
        ("ema.start", "1.5", ["ema.start", "int"]),
        ("ema.ramp_up", "0.5", ["ema.ramp_up = 0.5", "half_life > 0"]),
        ("ema.ramp_up", "1.5", ["ema.ramp_up = 1.5", "fraction"]),
        ("ema.buffers", "mean", ["ema.buffers", "mean", "average"]),
        ("ema.warm", "true", ["ema.warm", "did you mean 'warmup'"]),
        ("noise.size", "0", ["noise.size", "0"]),
        ("kind", "x", ["kind"]),
        ("", "x", ["''"]),
    ],
)
def test_every_error_names_key_and_remedy_in_a_line(key: str, value: str, words: list[str]) -> None:
    refused({key: value}, *words)


@pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000])
def test_values_that_no_parser_likes(value: str) -> None:
    with pytest.raises(UsageError, match="seed"):
        convert.override(recipes.find("cdcgan"), {"seed": value}, PARTS)


def test_none_gives_the_default_back() -> None:
    base = replace(recipes.find("cdcgan"), seed=7, noise=Noise(3, "uniform"))
    one = convert.override(base, {"seed": "none", "noise.law": "none"}, PARTS)
    assert (one.seed, one.noise) == (0, Noise(3, "normal"))
    refused({"name": "none"}, "'name'", "missing")


def test_a_kind_is_refused_where_there_is_only_one() -> None:
    """It must not be passed over, nor set the rate back to its default."""
    for table in ({"generator": {"kind": "sgd"}}, {"noise": {"kind": "uniform"}}, {"kind": "x"}):
        with pytest.raises(UsageError) as caught:
            convert.merge(recipes.find("gaussian"), table, PARTS)
        line(caught.value, "kind")


def test_a_missing_setting() -> None:
    table = convert.to_dict(recipes.find("gaussian"))
    del table["name"]
    with pytest.raises(UsageError) as caught:
        convert.from_dict(Config, table, PARTS)
    line(caught.value, "'name'", "missing")


@pytest.mark.parametrize(
    ("text", "word"),
    [("a = ", "TOML"), ("name = 3", "name"), ("x = 1", "'x'"), ("", "missing"),
     ("x = " + "[" * 5000, "TOML"), ("x = " + "9" * 5000, "TOML"),
     ("generator = 3", "generator"), ("generator = []", "generator"),
     ("networks = [1]", "networks")],
)  # fmt: skip
def test_errors_in_a_file_name_the_file(text: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert.loads(text, PARTS, "my.toml")
    line(caught.value, "my.toml", word)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([*"abc.0", "game", "penalties", "generator", "lr", "kind", "networks",
                              "init", "-1"]), max_size=5).map(".".join),
    st.one_of(text, st.sampled_from(["[", "{}", "[[]]", "nan", "1e999", "'", "[1,", "x = 1"])),
)  # fmt: skip
def test_no_override_escapes_as_another_error(key: str, value: str) -> None:
    with contextlib.suppress(UsageError):
        convert.override(recipes.find("cdcgan"), {key: value}, PARTS)


# --- hash and budget --------------------------------------------------------------------------


def test_the_hash_is_of_what_decides_the_weights() -> None:
    base = recipes.find("cdcgan")
    same = [
        replace(base, epochs=99, kimg=3.0, device="cpu", precision="fp32", threads=5),
        replace(base, output=Output(log_every=7)),
        replace(base, ema=base.ema + 0.0),
    ]
    assert {convert.config_hash(c) for c in same} == {convert.config_hash(base)}
    other = [
        replace(base, seed=1),
        replace(base, batch=65),
        replace(base, generator=replace(base.generator, lr=3e-3)),
        replace(base, game=replace(base.game, penalties=(R1(0.1, 4),))),
        replace(base, networks=replace(base.networks, init=Init("normal", 0.03))),
    ]
    assert len({convert.config_hash(c) for c in [base, *other]}) == 6


def test_whole_numbers_and_floats_are_the_same_setting() -> None:
    """Written in Python as 1, read back from TOML as 1.0."""
    one = replace(recipes.find("gaussian"), generator=Optimizer(lr=1), ema=0)
    again = convert.loads(convert.dumps(one), PARTS)
    assert again == one
    assert convert.config_hash(again) == convert.config_hash(one)


def test_a_number_and_its_table_are_the_same_average() -> None:
    """In memory, in a file, by hash; so an old run and a new config are the same run."""
    base = recipes.find("cdcgan")
    table = replace(base, ema=Average(decay=0.998, warmup=True))
    assert table == base and table.ema == 0.998
    assert convert.dumps(table) == convert.dumps(base)
    assert "ema = 0.998\n" in convert.dumps(base)
    assert convert.config_hash(table) == convert.config_hash(base)
    assert replace(base, ema=Average()) == replace(base, ema=0.0)
    assert not replace(base, ema=Average()).ema
    text = convert.dumps(base).replace("ema = 0.998\n", "")
    text += "[ema]\ndecay = 0.998\nwarmup = true\n"
    assert convert.loads(text, PARTS) == base
    for other in (
        Average(decay=0.998),
        Average(decay=0.998, warmup=True, start=1),
        Average(decay=0.998, warmup=True, buffers="average"),
        Average(half_life=10_000),
    ):
        changed = replace(base, ema=other)
        assert changed.ema == other
        assert convert.config_hash(changed) != convert.config_hash(base)
        assert convert.loads(convert.dumps(changed), PARTS) == changed


@pytest.mark.parametrize("value", [-0.1, 1.0, math.nan])
def test_a_decay_that_is_none_is_refused_in_python_too(value: float) -> None:
    with pytest.raises(UsageError, match=r"ema = .*: expected a decay in \[0, 1\)"):
        replace(recipes.find("gaussian"), ema=value)
    with pytest.raises(UsageError, match=r"decay = .*: expected a decay in \[0, 1\)"):
        Average(decay=value)


def test_betas_may_be_whole_numbers_in_python() -> None:
    """torch's Adam refuses a whole number beside a float."""
    base = recipes.find("gaussian")
    whole = replace(base, generator=Optimizer(betas=(0, 0.99)))
    floats = replace(base, generator=Optimizer(betas=(0.0, 0.99)))
    assert whole == floats
    assert convert.config_hash(whole) == convert.config_hash(floats)
    weight = nn.Parameter(torch.ones(2))
    optimizer = optimizers.build(whole.generator, [weight])
    weight.grad = torch.ones(2)
    optimizers.guarded_step(optimizer, torch.tensor(0.0))
    assert torch.all(weight < 1)


@pytest.mark.parametrize("betas", [(0.5,), (0.5, 0.9, 0.9), (0.5, 1), (-1, 0.5)])
def test_betas_that_adam_cannot_have_are_refused_in_python_too(betas: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"betas = .*: expected two numbers in \[0, 1\)"):
        Optimizer(betas=betas)  # type: ignore[arg-type]


def test_the_budget_is_in_passes_or_in_kimg() -> None:
    base = recipes.find("gaussian")
    assert base.images(1000) == 20_000
    assert replace(base, kimg=1.5).images(1000) == 1500
    assert replace(base, epochs=0.5).images(3) == 2


# --- one's own networks -----------------------------------------------------------------------


def my_networks(spec: Any, noise: int) -> dict[str, nn.Module]:
    return {"generator": nn.Linear(noise, 2), "discriminator": nn.Linear(2, 1)}


def test_own_code_is_named_never_stored() -> None:
    one = replace(recipes.find("gaussian"), networks=my_networks)
    toml = convert.dumps(one)
    assert "nn.Linear" not in toml
    again = convert.loads(toml, PARTS)
    assert isinstance(again.networks, UserCode)
    assert again.networks.name == "my_networks"
    assert len(again.networks.sha256) == 64
    assert convert.config_hash(again) == convert.config_hash(one)
    with pytest.raises(UsageError, match="my_networks"):
        again.networks(None, 2)


def test_configs_are_frozen() -> None:
    one = recipes.find("gaussian")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.seed = 3  # type: ignore[misc]
    assert math.isclose(one.discriminator.lr, 0.05)


@pytest.mark.parametrize("key", ["min_gap", "grid", "keep"])
def test_counts_of_the_output_are_at_least_one(key: str) -> None:
    with pytest.raises(UsageError, match=f"{key} = 0: expected at least 1"):
        Output(**{key: 0})
    assert getattr(Output(**{key: 1}), key) == 1


def test_a_file_that_changed_under_its_functions_is_no_source(tmp_path: Path) -> None:
    """The lines at that place may be another text, which begins a block and does not end it."""
    path = tmp_path / "mine.py"
    objects: dict[str, Any] = {}
    exec(compile("def loss():\n    return 1\n", str(path), "exec"), objects)  # noqa: S102
    for text in ("def loss(\n", ""):
        path.write_text(text)
        linecache.checkcache(str(path))
        assert user_code.source(objects["loss"]) == ""
