"""`fewshot`: `pictures` for 100 to 500 pictures: every published augmentation in front of D.

System   that of `pictures`, with DiffAugment's three operations in every look of D: colour at full
         strength, moved by up to an eighth of the side, a hole of half the side.
Source   Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", whose
         policy for few pictures has all three, and 300,000 pictures as its budget.
Differs  the nets and the game are those of `pictures` (published: StyleGAN2 at 256 pixels), and a
         translation repeats the border (published: 0).
Reaches  the claim (at 10 % of Fashion-MNIST augmentation helps, at 100 % it does not) is the study
         `ganforge reproduce fewshot`, which has not been run at its whole budget yet.
Takes    about 45 minutes on one CPU core at 64 x 64; on a GPU: unmeasured.
Yours    ganforge train fewshot --data PICTURES/; --game.augment adaptive is that of
         Karras et al. 2020 in its place.
         `ganforge evaluate RUN --metrics authentic,data-copying` says if samples are copies.
Command  ganforge train fewshot
"""

from dataclasses import replace

from ganforge.augment.diffaugment import DiffAugment
from ganforge.config.schema import Config
from ganforge.recipes.pictures import pictures

SOURCES = ("zhao2020", "karras2020training")


def fewshot() -> Config:
    base = pictures()
    every = DiffAugment(colour=1.0, translation=0.125, cutout=0.5)
    return replace(base, name="fewshot", game=replace(base.game, augment=(every,)))
