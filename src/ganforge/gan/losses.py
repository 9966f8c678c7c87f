"""The losses: two functions a game, (real logits, fake logits) -> one loss per logit.

D's logit a is log D(x) - log(1 - D(x)), so log D(x) = -softplus(-a) and
log(1 - D(x)) = -softplus(a). Nothing here goes through a sigmoid followed by a log, which
saturates: the gradients stay exact at logits of +-30 and beyond. Nothing is reduced: patch
discriminators give (B, 1, h, w), packed ones (B / m,); only the step takes the mean or the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

from ganforge.config.user_code import UserCode
from ganforge.errors import UsageError, choice

LossFunction = Callable[[Tensor, Tensor], Tensor]


class Loss(NamedTuple):
    """What D and G minimise.

    uses_real: the generator's loss reads the real logits; elsewhere the step need not compute
    them, and passes an empty tensor.
    cross_entropy: D's loss is the binary cross-entropy, so one-sided label smoothing has a meaning.
    guess: D's least loss with one logit for every example; None if it is unknown, or says nothing.
    """

    discriminator: LossFunction
    generator: LossFunction
    uses_real: bool = False
    cross_entropy: bool = False
    guess: float | None = None


def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), the value function of Goodfellow et al. 2014, negated."""
    return softplus(-real) + softplus(fake)


def minimax_generator(real: Tensor, fake: Tensor) -> Tensor:
    """log(1 - D(G(z))): its gradient -D(G(z)) vanishes where D rejects confidently."""
    return -softplus(fake)


def non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(G(z)): the same fixed point, a gradient of -1 where D rejects confidently."""
    return softplus(-fake)


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """((a_real - 1)^2 + a_fake^2) / 2, Mao et al. 2017."""
    return 0.5 * ((real - 1).square() + fake.square())


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """(a_fake - 1)^2 / 2, Mao et al. 2017."""
    return 0.5 * (fake - 1).square()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """a_fake - a_real, Arjovsky et al. 2017; needs a Lipschitz D (see `penalties`)."""
    return fake - real


def wasserstein_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-a_fake, Arjovsky et al. 2017; the generator's loss of the hinge game too."""
    return -fake


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - a_real) + max(0, 1 + a_fake), Lim & Ye 2017."""
    return relu(1 - real) + relu(1 + fake)


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(a_real - a_fake), Jolicoeur-Martineau 2019 (pairing RGAN; R3GAN's loss)."""
    return softplus(fake - real)


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(a_fake - a_real)."""
    return softplus(real - fake)


def smoothing(real: Tensor, amount: float) -> Tensor:
    """What one-sided label smoothing adds to D's cross-entropy: the real target is 1 - amount.

    BCE(a, 1 - s) = softplus(-a) + s a. Salimans et al. 2016.
    """
    return amount * real


def classification(every: Tensor, labelled: Tensor) -> Tensor:
    """-log p(label | x), where p is the softmax of D's logits with every label.

    every: (..., K) logits; labelled: (...) those with the label of the example. The auxiliary loss
    of Odena et al. 2017, by the embeddings of the projection: what does not depend on the label
    cancels, so it says nothing of real or fake.
    """
    return every.logsumexp(-1) - labelled


EVEN = 2 * math.log(2)  # the cross-entropies of D(x) = D(G(z)) = 1/2
LOSSES = {
    "minimax": Loss(cross_entropy_discriminator, minimax_generator, cross_entropy=True, guess=EVEN),
    "non-saturating": Loss(
        cross_entropy_discriminator, non_saturating_generator, cross_entropy=True, guess=EVEN
    ),
    "least-squares": Loss(least_squares_discriminator, least_squares_generator, guess=0.25),
    "wasserstein": Loss(wasserstein_discriminator, wasserstein_generator),
    "hinge": Loss(hinge_discriminator, wasserstein_generator, guess=2.0),
    "relativistic": Loss(
        relativistic_discriminator, relativistic_generator, uses_real=True, guess=math.log(2)
    ),
}


def checked(loss: Any) -> Any:
    """A loss as a game holds it: a name in `LOSSES`, a `Loss`, or the record of a user's code.

    Two functions become a `Loss` whose generator's function gets the real logits.

    Raises:
        UsageError: an unknown name, or anything else.
    """
    if isinstance(loss, str):
        choice("loss", loss, list(LOSSES))
    elif isinstance(loss, tuple | list) and len(loss) == 2 and all(map(callable, loss)):
        return Loss(loss[0], loss[1], uses_real=True)
    elif not isinstance(loss, Loss | UserCode):
        raise UsageError(
            f"loss = {loss!r:.80}: expected one of {', '.join(LOSSES)}, or two functions "
            "(discriminator, generator) of the real and the fake logits"
        )
    return loss


def find(loss: Any) -> Loss:
    """The functions of a loss that `checked` gave; UsageError for code that is not there."""
    if isinstance(loss, UserCode):
        raise loss.missing()
    return loss if isinstance(loss, Loss) else LOSSES[loss]
