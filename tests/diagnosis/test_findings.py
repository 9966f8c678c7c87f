"""A diagnosis as JSON and as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganforge.diagnosis import Diagnosis, Finding, findings
from ganforge.errors import DataError


def test_a_diagnosis_is_read_as_it_was_saved(tmp_path: Path) -> None:
    picture = tmp_path / "diagnosis" / "samples.png"
    one = Finding("GF001", "mode collapse", "few", "do", {"near": 0.5}, (picture,))
    before = Diagnosis((one,), ("GF001",), {"GF009": "no labels"}, 12, "too early")
    findings.save(tmp_path / "d.json", before)
    table = json.loads((tmp_path / "d.json").read_text())
    assert table["findings"][0]["pictures"] == ["diagnosis/samples.png"]
    assert table["healthy"] is False
    assert findings.read(tmp_path / "d.json") == before
    assert findings.read(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "findings": 3}'])
def test_a_damaged_file_is_a_data_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(DataError, match=r"d\.json"):
        findings.read(tmp_path / "d.json")
