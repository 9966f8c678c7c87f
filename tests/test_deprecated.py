"""Names of version 0.1 that a user's file may import still work, with a warning."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import ganforge as gf
from ganforge import _deprecated


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("loop", "train", "ganforge.training.loop"),
        ("game", "Adversarial", "ganforge.gan.adversarial"),
        ("game", "step", "ganforge.gan.step"),
        ("losses", "LOSSES", "ganforge.gan.losses"),
        ("penalties", "R1", "ganforge.gan.penalties"),
        ("codec", "DataSpec", "ganforge.data.spec"),
        ("data.source", "load", "ganforge.data.load"),
        ("session", "train", "ganforge.api"),
        ("lightning", "GANModule", "ganforge.training.lightning"),
        ("runs", "open_run", "ganforge.runs.folder"),
        ("sampling", "Sampler", "ganforge.sampling.sampler"),
        ("config", "loads", "ganforge.config.convert"),
        ("evaluation.frechet", "frechet", "ganforge.evaluation.metrics.frechet"),
    ],
)
def test_an_old_name_is_the_new_one_and_says_so(old: str, name: str, new: str) -> None:
    module = importlib.import_module(f"ganforge.{old}")
    with pytest.warns(DeprecationWarning, match=f"is now {new}.{name}".replace(".", r"\.")):
        found = getattr(module, name)
    assert found is getattr(importlib.import_module(new), name)


def test_the_package_gives_old_modules() -> None:
    with pytest.warns(DeprecationWarning, match=r"ganforge\.training\.loop\.train"):
        assert gf.loop.train is gf.iterate


@pytest.mark.parametrize("name", ["lightning", "losses", "penalties"])
def test_an_import_of_an_old_module_hides_no_module_of_that_name(name: str) -> None:
    """gf.losses is today's module, also after `import ganforge.losses` in a file of 0.1."""
    assert importlib.import_module(f"ganforge.{name}") is not getattr(gf, name)
    assert getattr(gf, name).__name__.count(".") == 2  # such as ganforge.gan.losses


def test_a_name_that_never_was_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = importlib.import_module("ganforge.game").nothing
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("ganforge.nothing")


@pytest.mark.parametrize(("old", "new"), sorted(_deprecated.RENAMED.items()))
def test_a_renamed_thing_is_found_by_its_old_name(old: str, new: str) -> None:
    module, _, name = old.rpartition(".")
    place, _, now = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"is now ganforge.{new};".replace(".", r"\.")):
        found = getattr(importlib.import_module(f"ganforge.{module}"), name)
    assert found is getattr(importlib.import_module(f"ganforge.{place}"), now)


@pytest.mark.parametrize("old", ["game", "runs", "config"])
def test_dunder_names_import_nothing(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`inspect` and `doctest` ask every module for them."""
    monkeypatch.setattr(_deprecated, "import_module", pytest.fail)
    with pytest.raises(AttributeError):
        _ = importlib.import_module(f"ganforge.{old}").__wrapped__


def test_every_old_module_leads_to_modules_that_are_there() -> None:
    for places in _deprecated.MOVED.values():
        for place in set(places.split()) - {"training.lightning"}:
            assert importlib.import_module(f"ganforge.{place}")


def test_a_users_file_of_version_0_1_runs(tmp_path: object) -> None:
    code = (
        "from ganforge.game import Adversarial\nfrom ganforge.nets import MLP\n"
        "from ganforge.config import Config\nprint(Config('x', MLP(), Adversarial()).name)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "default::DeprecationWarning", "-c", code],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "x\n" and "DeprecationWarning" in done.stderr
