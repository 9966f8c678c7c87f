"""Numbers that no setting can hold: refused in one line, wherever they come from."""

from dataclasses import replace
from typing import Any

import pytest

from ganforge import recipes
from ganforge.config import convert
from ganforge.config.schema import Noise, Output
from ganforge.errors import UsageError
from ganforge.nets import MLP
from ganforge.registry import PARTS

HUGE = ["1" + "0" * 30, str(2**31), str(-(2**31)), str(2**63), "1" + "0" * 400]
ENDLESS = ["inf", "-inf", "nan", "1e999"]


def number_settings(kind: type) -> list[str]:
    """The dotted keys of cdcgan that hold a number of a type."""
    settings = convert.flat(convert.to_dict(replace(recipes.cdcgan(), epochs=1.5)))
    found = [k for k, v in settings if type(v) is kind]
    assert len(found) > 5
    return found


@pytest.mark.parametrize("key", number_settings(int))
@pytest.mark.parametrize("text", [*HUGE, *ENDLESS, "true", "1.5", "[1]"])
def test_a_number_beyond_all_use_is_refused(key: str, text: str) -> None:
    if key == "seed" and text in HUGE[1:3]:
        return
    with pytest.raises(UsageError, match=key.rpartition(".")[2]) as caught:
        convert.override(recipes.cdcgan(), {key: text}, PARTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", number_settings(float))
@pytest.mark.parametrize("text", [*ENDLESS, HUGE[0], HUGE[-1], "true", "[1]"])
def test_a_number_that_is_none_is_refused(key: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert.override(recipes.cdcgan(), {key: text}, PARTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"batch": 2**31}, {"seed": 2**63}, {"threads": 1025}, {"noise": Noise(2**31)},
     {"networks": MLP((2**40,), (1,))}, {"output": Output(grid=10**30)}],
)  # fmt: skip
def test_in_python_too(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(changed))):
        replace(recipes.cdcgan(), **changed)


def test_a_budget_beyond_all_counting_is_refused() -> None:
    with pytest.raises(UsageError, match="budget"):
        replace(recipes.cdcgan(), epochs=1e300).images(60_000)
    with pytest.raises(UsageError, match="budget"):
        replace(recipes.cdcgan(), kimg=1e300).images(60_000)
