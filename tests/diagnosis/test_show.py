"""Pictures of the evidence, in the run folder."""

from __future__ import annotations

from pathlib import Path

from ganforge import recipes
from ganforge.diagnosis import Diagnosis, Finding, show
from ganforge.diagnosis.snapshot import Snapshot
from tests.diagnosis.test_signals import log


def found(*codes: str) -> Diagnosis:
    return Diagnosis(tuple(Finding(code, "", "", "") for code in codes), codes)


def test_findings_of_one_kind_share_one_picture(tmp_path: Path) -> None:
    records = [r | {"epoch": r["step"] / 100} for r in log()]
    seen = Snapshot(recipes.find("gaussian"), records)
    losses, again = show.illustrate(found("GF003", "GF006"), seen, tmp_path).findings
    assert losses.pictures == again.pictures == (tmp_path / "diagnosis" / "losses.png",)
    assert losses.pictures[0].read_bytes()[:4] == b"\x89PNG"
    assert len(list((tmp_path / "diagnosis").iterdir())) == 1


def test_the_curve_of_scores_is_evidence_if_it_was_drawn(tmp_path: Path) -> None:
    seen = Snapshot(recipes.find("gaussian"))
    (without,) = show.illustrate(found("GF012"), seen, tmp_path).findings
    (tmp_path / "scores.png").write_bytes(b"")
    (drawn,) = show.illustrate(found("GF012"), seen, tmp_path).findings
    assert without.pictures == () and drawn.pictures == (tmp_path / "scores.png",)


def test_without_samples_a_finding_has_no_picture(tmp_path: Path) -> None:
    seen = Snapshot(recipes.find("gaussian"))
    (one,) = show.illustrate(found("GF001"), seen, tmp_path).findings
    assert one.pictures == () and not (tmp_path / "diagnosis").exists()
