"""The published systems as both sides play them: the same nets, batch, data and threads.

`ours` is the recipe, changed only where the published loop differs from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ganforge import recipes
from ganforge.config.schema import Config, Optimizer
from ganforge.nets import MLP


@dataclass(frozen=True)
class System:
    """One row. peer: its file in peers/. goal: the least ratio at the first batch size.

    compiled: with `--compile`. members: games at once. Neither is measured in fp32 besides.
    """

    peer: str
    ours: Callable[[], Config]
    batches: tuple[int, ...]
    goal: float | None = None
    unit: str = "images"
    compiled: bool = False
    members: int = 1

    @property
    def plain(self) -> bool:
        return not self.compiled and self.members == 1


def mlp() -> Config:
    """k = 1 on both sides: the inner loop of the published loop amounts to that."""
    config = recipes.mnist_mlp()
    return replace(config, game=replace(config.game, d_steps=1))


def tutorial() -> Config:
    """The Lightning tutorial's nets and rates."""
    config, adam = mlp(), Optimizer(lr=2e-4, betas=(0.5, 0.999))
    nets = MLP(
        generator=(128, 256, 512, 1024),
        discriminator=(512, 256),
        generator_norm="batch-after-first",
    )
    game = replace(config.game, fresh_noise=True)
    return replace(config, networks=nets, game=game, generator=adam, discriminator=adam)


SYSTEMS: dict[str, System] = {
    "gaussian": System("gaussian", recipes.gaussian, (8,), None, "examples"),
    "gaussian-compiled": System("gaussian", recipes.gaussian, (8,), 10, "examples", compiled=True),
    "gaussian-1024": System("gaussian", recipes.gaussian, (8,), 150, "examples", members=1024),
    "mlp": System("mlp", mlp, (64, 256), 2.5),
    "dropout": System("dropout", recipes.mnist_dropout, (64,)),
    "dcgan": System("dcgan", recipes.dcgan_report, (64, 256), 2.5),
    "cgan": System("cgan", recipes.cgan, (64, 256), 2.5),
    "tutorial": System("tutorial", tutorial, (256,)),
}
