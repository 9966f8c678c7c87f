"""The matching of classes of a code with digits."""

import numpy as np
import pytest

from benchmarks.quality.codes import matched


def test_classes_are_matched_with_the_digits_that_agree_most() -> None:
    codes = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    digits = np.array([2, 2, 1, 2, 2, 0, 0, 0, 0, 1])  # 2 is the digit of 0 and of 1: one has it
    error, found = matched(codes, digits, 3)
    assert error == pytest.approx(0.3)  # the best for each by itself would be .4
    assert found.tolist() == [1, 2, 0]
    assert matched(np.arange(10), np.arange(10)[::-1])[0] == 0
