"""Samples over time in a run folder: which moments there are, and of which epoch."""

from pathlib import Path

import pytest

from ganforge.data.spec import DataSpec
from ganforge.runs.samples import epoch_text, moments
from tests.helpers.drawn import picture_run


def test_moments_know_their_epoch(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    (run.samples / "notes.txt").write_text("not a sample")
    assert [(m.step, m.text) for m in moments(run)] == [
        (0, "epoch 0"), (100, "epoch 1"), (200, "epoch 2"), (300, "epoch 3"), (400, "epoch 4"),
    ]  # fmt: skip
    run.log_path.unlink()
    assert [m.text for m in moments(run)][:2] == ["epoch 0", "step 100"]


def test_the_newest_sample_says_of_which_kind_they_are(tmp_path: Path) -> None:
    run = picture_run(tmp_path / "run", DataSpec((1, 28, 28)))
    vectors = run.samples / "000350.npz"
    vectors.write_bytes(b"")
    assert [m.step for m in moments(run)] == [0, 100, 200, 300, 400]
    vectors.rename(run.samples / "000450.npz")
    assert [m.step for m in moments(run)] == [450]


@pytest.mark.parametrize(
    ("epoch", "text"),
    [(0, "0"), (0.02, "0.02"), (0.125, "0.12"), (0.99, "1"), (1.16, "1.16"), (2.5, "2.5"),
     (3.994, "4"), (12.34, "12.3"), (99.99, "100"), (1234.5, "1,234")],
)  # fmt: skip
def test_epochs_are_short(epoch: float, text: str) -> None:
    assert epoch_text(epoch) == text
