"""Every loss against closed forms written out with `math`, at mild and at extreme logits."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ganforge.gan import losses
from ganforge.gan.adversarial import Adversarial
from ganforge.gan.losses import LOSSES, LossFunction, classification, smoothing

LOGITS = (-30.0, -1.0, 0.0, 1.0, 30.0)
KINK = math.nan  # hinge at its corner: any slope between the two sides is right


def log_sigmoid(a: float) -> float:
    return -math.log1p(math.exp(-a)) if a >= 0 else a - math.log1p(math.exp(a))


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a)) if a >= 0 else math.exp(a) / (1 + math.exp(a))


def corner(x: float) -> float:
    """The slope of max(0, x)."""
    return KINK if x == 0 else float(x > 0)


def test_a_guess_is_the_least_loss_with_one_logit_for_all() -> None:
    logit = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    for name, loss in LOSSES.items():
        least = float(loss.discriminator(logit, logit).min())
        assert least == pytest.approx(loss.guess or 0.0, abs=1e-9), name
    assert LOSSES["wasserstein"].guess is None  # 0 with any logit


@dataclass
class Form:
    """Values and derivatives of a game's losses at real logit r and fake logit f."""

    d: Callable[[float, float], float]
    d_real: Callable[[float, float], float]
    d_fake: Callable[[float, float], float]
    g: Callable[[float, float], float]
    g_fake: Callable[[float, float], float]


FORMS = {
    "minimax": Form(
        lambda r, f: -log_sigmoid(r) - log_sigmoid(-f),
        lambda r, f: -sigmoid(-r),
        lambda r, f: sigmoid(f),
        lambda r, f: log_sigmoid(-f),
        lambda r, f: -sigmoid(f),
    ),
    "non-saturating": Form(
        lambda r, f: -log_sigmoid(r) - log_sigmoid(-f),
        lambda r, f: -sigmoid(-r),
        lambda r, f: sigmoid(f),
        lambda r, f: -log_sigmoid(f),
        lambda r, f: -sigmoid(-f),
    ),
    "least-squares": Form(
        lambda r, f: ((r - 1) ** 2 + f**2) / 2,
        lambda r, f: r - 1,
        lambda r, f: f,
        lambda r, f: (f - 1) ** 2 / 2,
        lambda r, f: f - 1,
    ),
    "wasserstein": Form(
        lambda r, f: f - r,
        lambda r, f: -1.0,
        lambda r, f: 1.0,
        lambda r, f: -f,
        lambda r, f: -1.0,
    ),
    "hinge": Form(
        lambda r, f: max(0.0, 1 - r) + max(0.0, 1 + f),
        lambda r, f: -corner(1 - r),
        lambda r, f: corner(1 + f),
        lambda r, f: -f,
        lambda r, f: -1.0,
    ),
    "relativistic": Form(
        lambda r, f: -log_sigmoid(r - f),
        lambda r, f: -sigmoid(f - r),
        lambda r, f: sigmoid(f - r),
        lambda r, f: -log_sigmoid(f - r),
        lambda r, f: -sigmoid(r - f),
    ),
}


def evaluate(
    function: LossFunction, r: float, f: float, dtype: torch.dtype = torch.float64
) -> tuple[float, float, float]:
    """(value, slope in r, slope in f) of a loss at one pair of logits."""
    real = torch.tensor([r], dtype=dtype, requires_grad=True)
    fake = torch.tensor([f], dtype=dtype, requires_grad=True)
    loss = function(real, fake)
    gradients = torch.autograd.grad(loss.sum(), (real, fake), allow_unused=True)
    return (loss.item(), *(0.0 if g is None else g.item() for g in gradients))


def close(ours: float, exact: float, tolerance: float) -> bool:
    if math.isnan(exact):  # a corner
        return math.isfinite(ours) and abs(ours) <= 1
    # relative for what is large and for what is tiny: 1e-13 must not pass for 0
    return math.isclose(ours, exact, rel_tol=tolerance, abs_tol=1e-300)


def check_discriminator(name: str, function: LossFunction, dtype: torch.dtype) -> None:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-6
    form = FORMS[name]
    for r in LOGITS:
        for f in LOGITS:
            value, slope_r, slope_f = evaluate(function, r, f, dtype)
            assert close(value, form.d(r, f), tolerance), (name, r, f, value)
            assert close(slope_r, form.d_real(r, f), tolerance), (name, r, f, slope_r)
            assert close(slope_f, form.d_fake(r, f), tolerance), (name, r, f, slope_f)


def check_generator(name: str, function: LossFunction, dtype: torch.dtype) -> None:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-6
    form = FORMS[name]
    for r in LOGITS:
        for f in LOGITS:
            value, _, slope_f = evaluate(function, r, f, dtype)
            assert close(value, form.g(r, f), tolerance), (name, r, f, value)
            assert close(slope_f, form.g_fake(r, f), tolerance), (name, r, f, slope_f)


def test_every_loss_has_a_closed_form() -> None:
    assert set(FORMS) == set(LOSSES)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_value_and_gradient(name: str, dtype: torch.dtype) -> None:
    check_discriminator(name, LOSSES[name].discriminator, dtype)
    check_generator(name, LOSSES[name].generator, dtype)


def test_the_usual_mistake_would_be_noticed() -> None:
    """-log(sigmoid(a) + 1e-8) is called non-saturating, and saturates."""

    def naive(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return -torch.log(torch.sigmoid(fake) + 1e-8)

    with pytest.raises(AssertionError):
        check_generator("non-saturating", naive, torch.float64)
    assert abs(evaluate(naive, 0.0, -30.0)[2]) < 1e-4


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("far", [30.0, 1e3, 1e30])
def test_gradients_are_finite_far_out(name: str, far: float) -> None:
    for r in (-far, far):
        for f in (-far, far):
            for function in (LOSSES[name].discriminator, LOSSES[name].generator):
                assert all(map(math.isfinite, evaluate(function, r, f)[1:]))


def test_where_d_rejects_confidently() -> None:
    """The saturating loss gives nothing to learn from; the others a gradient of at least 1."""
    slopes = {name: evaluate(loss.generator, 30.0, -30.0)[2] for name, loss in LOSSES.items()}
    assert abs(slopes.pop("minimax")) < 1e-12
    assert all(slope <= -1 + 1e-9 for slope in slopes.values()), slopes


def test_a_confident_wrong_logit() -> None:
    """Cross-entropy pulls with force 1 at any distance; squared error on D(x) would not pull."""
    _, slope, _ = evaluate(LOSSES["non-saturating"].discriminator, -30.0, 0.0)
    assert slope == pytest.approx(-1)
    a = torch.tensor(-30.0, requires_grad=True)
    (weak,) = torch.autograd.grad((torch.sigmoid(a) - 1).square(), a)
    assert abs(weak.item()) < 1e-12


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.25])
def test_smoothing_is_cross_entropy_with_a_lower_target(amount: float) -> None:
    loss = LOSSES["non-saturating"].discriminator
    for a in LOGITS:
        real = torch.tensor([a], dtype=torch.float64, requires_grad=True)
        never = torch.full_like(real, -1e4)  # a fake that costs nothing
        smoothed = loss(real, never) + smoothing(real, amount)
        target = 1 - amount
        exact = -target * log_sigmoid(a) - amount * log_sigmoid(-a)
        assert smoothed.item() == pytest.approx(exact, rel=1e-9, abs=1e-12)
        theirs = binary_cross_entropy_with_logits(real, torch.full_like(real, target))
        assert smoothed.item() == pytest.approx(theirs.item(), rel=1e-9, abs=1e-12)
        (slope,) = torch.autograd.grad(smoothed.sum(), real)
        assert slope.item() == pytest.approx(sigmoid(a) - target, rel=1e-9, abs=1e-12)


def test_classification_is_the_cross_entropy_of_the_own_label() -> None:
    every = torch.tensor([[0.5, -2.0, 3.0], [100.0, 0.0, -100.0]], dtype=torch.float64)
    for label in (0, 1, 2):
        labels = torch.full((2,), label)
        exact = cross_entropy(every, labels, reduction="none")
        assert torch.allclose(classification(every, every[:, label]), exact)
        shifted = every + 7  # what does not depend on the label cancels
        assert torch.allclose(classification(shifted, shifted[:, label]), exact)


def test_the_loss_of_contributing_is_added_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its functions run with what the file imports, and are those of its docstrings."""
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    section = page.partition("## Add a loss\n")[2].partition("\n## ")[0]
    code, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names = dict(vars(losses))
    exec(compile(f"{code}\nADDED = {{{line}}}", "CONTRIBUTING.md", "exec"), names)  # noqa: S102
    ((name, loss),) = names["ADDED"].items()
    monkeypatch.setitem(LOSSES, name, loss)
    squared = Form(
        lambda r, f: max(0.0, 1 - r) ** 2 + max(0.0, 1 + f) ** 2,
        lambda r, f: -2 * max(0.0, 1 - r),
        lambda r, f: 2 * max(0.0, 1 + f),
        lambda r, f: max(0.0, 1 - f) ** 2,
        lambda r, f: -2 * max(0.0, 1 - f),
    )
    monkeypatch.setitem(FORMS, name, squared)
    test_value_and_gradient(name, torch.float64)
    test_gradients_are_finite_far_out(name, 1e30)
    test_where_d_rejects_confidently()
    test_nothing_is_reduced(name, (6, 1, 4, 4))
    test_who_reads_the_real_logits(name)
    assert Adversarial(loss=name).loss == name


def test_only_cross_entropy_has_targets_to_smooth() -> None:
    assert {n for n, loss in LOSSES.items() if loss.cross_entropy} == {"minimax", "non-saturating"}


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 1, 4, 4), (3,), (1,)])
def test_nothing_is_reduced(name: str, shape: tuple[int, ...]) -> None:
    real, fake = torch.randn(shape), torch.randn(shape)
    assert LOSSES[name].discriminator(real, fake).shape == shape
    assert LOSSES[name].generator(real, fake).shape == shape


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_logit_pays_for_itself(name: str) -> None:
    """A batch gives what its examples give one by one."""
    real, fake = torch.linspace(-3, 3, 7), torch.linspace(2, -2, 7)
    for function in (LOSSES[name].discriminator, LOSSES[name].generator):
        alone = [function(real[i : i + 1], fake[i : i + 1]) for i in range(7)]
        assert torch.allclose(function(real, fake), torch.cat(alone))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_who_reads_the_real_logits(name: str) -> None:
    """The step leaves the real logits out where a loss does not say that it reads them."""
    slope = evaluate(LOSSES[name].generator, 0.3, -0.2)[1]
    assert (slope != 0) == LOSSES[name].uses_real
    if not LOSSES[name].uses_real:
        assert LOSSES[name].generator(torch.empty(0), torch.zeros(5)).shape == (5,)


def test_the_fixed_point_of_the_game() -> None:
    """At D = 1/2 both players of the paper's game lose log 2 (D's halved), V = -log 4."""
    zero = torch.zeros(1, dtype=torch.float64)
    loss = LOSSES["non-saturating"]
    assert loss.discriminator(zero, zero).item() == pytest.approx(math.log(4))
    assert loss.generator(zero, zero).item() == pytest.approx(math.log(2))
