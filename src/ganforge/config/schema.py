"""The settings of a run as frozen dataclasses: their fields, defaults and ranges.

A config is complete: it has everything that decides the outcome of a run. Parts of several kinds
(networks, games, penalties) name theirs in `kind`, which `registry.PARTS` maps to a dataclass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

from ganforge.config.noise import LatentCode
from ganforge.config.noise import Noise as Noise  # noqa: PLC0414  # also a name of this file
from ganforge.errors import UsageError, check, choice, in_range
from ganforge.text import printable

Parts = Mapping[str, Mapping[str, Any]]  # field name -> kind -> dataclass; code: name -> object

FRACTION = "a fraction in [0, 1]"
# Loggers beside log.jsonl, by the module that each needs: the extra that installs it.
LOGGERS = {"csv": "", "tensorboard": "tensorboard", "wandb": "loggers"}


@runtime_checkable
class Part(Protocol):
    """A frozen dataclass that names its kind."""

    kind: ClassVar[str]


def require(part: object, **rules: tuple[bool, str]) -> None:
    """UsageError for the first setting of a part whose rule (valid, what is expected) fails."""
    for key, (valid, expected) in rules.items():
        check(valid, key, getattr(part, key), expected)


@dataclass(frozen=True)
class Optimizer:
    """The optimiser of one player, with the schedules of its learning rate and momentum.

        rate(s) = max(least, lr / shrink^s) * (linear from 1 at decay_from to decay_to at the end)

    Args:
        name: "adam", "sgd" or "rmsprop" of torch.optim.
        lr: learning rate at the first step, `least` or more.
        betas: of Adam, two numbers in [0, 1).
        momentum: of SGD and RMSprop, in [0, 1).
        weight_decay: 0 or more.
        decay_from: fraction of the budget at which the rate begins to fall linearly; 1 for never.
        decay_to: fraction of the rate that is left at the end of the budget.
        shrink: what the rate is divided by at every step, 1 or more.
        least: the rate that `shrink` does not go below.
        momentum_to: the momentum after `momentum_steps` steps, approached linearly.
        momentum_steps: 0 for a constant momentum.
    """

    name: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay_from: float = 1.0
    decay_to: float = 0.0
    shrink: float = 1.0
    least: float = 0.0
    momentum_to: float = 0.0
    momentum_steps: int = 0

    def __post_init__(self) -> None:
        choice("name", self.name, ("adam", "sgd", "rmsprop"))
        pair = len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)
        require(
            self,
            lr=(self.least <= self.lr < math.inf, f"a number from {self.least} up"),
            betas=(pair, "two numbers in [0, 1)"),
            momentum=(0 <= self.momentum < 1, "in [0, 1)"),
            momentum_to=(0 <= self.momentum_to < 1, "in [0, 1)"),
            decay_from=(0 <= self.decay_from <= 1, FRACTION),
            decay_to=(0 <= self.decay_to <= 1, FRACTION),
            weight_decay=(self.weight_decay >= 0, "0 or more"),
            least=(self.least >= 0, "0 or more"),
            momentum_steps=(self.momentum_steps >= 0, "0 or more"),
            shrink=(self.shrink >= 1, "1 or more"),
        )
        # torch's Adam refuses a whole number beside a float
        object.__setattr__(self, "betas", tuple(map(float, self.betas)))

    def rate(self, progress: float, step: int = 0) -> float:
        """The learning rate at a step, after the fraction `progress` of the budget."""
        if self.shrink == 1 and progress <= self.decay_from:  # at most steps of most recipes
            return max(self.least, self.lr)
        lr = max(self.least, self.lr * math.exp(-step * math.log(self.shrink)))
        fallen = max(0.0, min(1.0, progress) - self.decay_from) / ((1 - self.decay_from) or 1.0)
        return lr * (1 - fallen * (1 - self.decay_to))

    def momentum_at(self, step: int) -> float:
        """The momentum at a step."""
        risen = min(1.0, step / self.momentum_steps) if self.momentum_steps else 0.0
        return self.momentum + risen * (self.momentum_to - self.momentum)


@dataclass(frozen=True)
class Average:
    """The averaged generator, updated once a step, after the generator's last turn.

        average <- d average + (1 - d) generator
        decay       d = decay, with `warmup` min(decay, (1 + t) / (10 + t)), t = step - start
        half_life   d = 0.5^(B / h), h = half_life, with `ramp_up` min(half_life, ramp_up * seen)

    B images pass through the generator's updates in one step, batch * g_steps over all processes;
    seen = B * step. One of `decay` and `half_life` is given; neither for no averaged generator.

    Args:
        decay: in one step, in [0, 1); 0 if `half_life` is given.
        start: step before which the average equals the generator.
        warmup: the decay rises from 0.1.
        half_life: images after which an old generator's share is a half; 0 if `decay` is given.
        ramp_up: fraction of the images seen that the half-life may reach, 0 for no limit.
        buffers: batch statistics of the generator, "copy" or "average"; other buffers are copied.

    Half-life and ramp-up: Karras et al. 2020 (StyleGAN2-ADA), Huang et al. 2024 (R3GAN).
    """

    decay: float = 0.0
    start: int = 0
    warmup: bool = False
    half_life: float = 0.0
    ramp_up: float = 0.0
    buffers: str = "copy"

    def __post_init__(self) -> None:
        decays, halves = self.decay > 0, self.half_life > 0
        require(
            self,
            decay=(0 <= self.decay < 1, "a decay in [0, 1)"),
            start=(self.start >= 0, "step 0 or a later one"),
            ramp_up=(0 <= self.ramp_up <= 1, FRACTION),
            half_life=(0 <= self.half_life < math.inf, "0 or more images"),
        )
        choice("buffers", self.buffers, ("copy", "average"))
        one = f"0 beside decay = {self.decay}, or decay = 0: give one of the two"
        require(self, half_life=(not (decays and halves), one))
        require(
            self,
            start=(decays or not self.start, "decay > 0 beside it"),
            warmup=(decays or not self.warmup, "decay > 0 beside it"),
            ramp_up=(halves or not self.ramp_up, "half_life > 0 beside it"),
            buffers=(
                decays or halves or self.buffers == "copy",
                "decay > 0 or half_life > 0 beside it",
            ),
        )

    @classmethod
    def of(cls, value: float | Average) -> Average:
        """The settings that `ema = value` stands for: a number is a decay with warm-up."""
        return value if isinstance(value, Average) else _warmed_up(value)

    def shortest(self) -> float | Average:
        """The decay alone if that says the same: equal averages are equal in files and hashes."""
        return self.decay if self == Average.of(self.decay) else self


@cache
def _warmed_up(decay: float) -> Average:
    """The average of a decay with warm-up: every step asks for it."""
    return Average(decay=decay, warmup=decay > 0)


@dataclass(frozen=True)
class Output:
    """What a run writes, and how often; nothing here changes the weights.

    Args:
        log_every: steps between records of the log; 0 for 50, or fewer in runs below 1,000 steps,
            which have at least 20 records.
        sample_every: epochs between sample grids; 0 for one epoch, or less in short runs, which
            have at least eight grids.
        save_every: epochs between checkpoints, which are at least 100 steps apart; a checkpoint is
            also written after ten minutes without one.
        grid: pictures in a sample grid, a row for each label if the data have labels.
        keep: how many of the newest checkpoints stay on the disk.
        keep_every: the first checkpoint of every `keep_every` steps stays too; 0 for none.
        log: where records go besides log.jsonl, names of `LOGGERS`.
        tensorboard: the old form of "tensorboard" in `log`, which it becomes.
        score: the run ends with scores on the validation part.
        score_every: epochs between such scores during training, of which the checkpoint with the
            best score stays; 0 for none.
        patience: epochs without a better score after which the run ends; 0 for never.
    """

    log_every: int = 0
    sample_every: float = 0.0
    save_every: float = 1.0
    min_gap: int = 100
    grid: int = 64
    keep: int = 3
    keep_every: int = 0
    log: tuple[str, ...] = ()
    tensorboard: bool = False
    score: bool = True
    score_every: float = 0.0
    patience: float = 0.0

    def __post_init__(self) -> None:
        for key in ("min_gap", "grid", "keep"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "at least 1")
        save = self.save_every
        check(0 < save < math.inf, "save_every", save, "more than 0 epochs")
        for key in ("log_every", "sample_every", "keep_every", "score_every", "patience"):
            check(0 <= getattr(self, key) < math.inf, key, getattr(self, key), "0 or more")
        require(self, patience=(self.score_every > 0 or not self.patience, "score_every>0"))
        names = (*self.log, *(["tensorboard"] if self.tensorboard else []))
        for name in names:
            choice("log", name, tuple(LOGGERS))
        object.__setattr__(self, "log", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "tensorboard", False)


@dataclass(frozen=True)
class Config:
    """All settings of one run; `dataclasses.replace(recipe, ...)` varies those of a recipe.

    Args:
        name: the recipe that the config started from.
        networks: a dataclass or function of (spec, noise) that makes generator and discriminator.
        game: the objectives, with their penalties.
        data: name of a data set, or a path.
        size: pictures are cropped and resized to size x size pixels; None leaves their size.
        labels: the game is conditional, which needs labelled data.
        seed: of every random number of the run.
        batch: real examples in one update.
        micro_batch: examples in one forward pass, 0 for the whole batch; the update is the same
            for networks without batch norm.
        epochs: the budget, in passes of D over the real data.
        kimg: the budget in thousands of real images; replaces `epochs` unless it is None.
        minutes: what `kimg` was chosen for, by a measurement at the start of the run; None if it
            was not.
        mirror: half of the pictures, drawn anew in every pass, are shown as their mirror images.
        init_from: a run or model folder whose weights the run begins with; empty for new ones.
        noise: the law of z.
        generator, discriminator: their optimisers.
        ema: the averaged generator: an `Average`, or a decay with warm-up; 0 for none. An
            `Average` that a number says as well becomes that number.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        precision: "auto", "fp32" or "bf16".
        threads: CPU threads, 0 for one or all, by a race at the start.
        compile: many steps of a small game in one call on the CPU, recorded graphs on a GPU.
        sync_bn: batch norm uses the statistics of the whole batch of all processes.
        on_nan: "stop", or "rollback" to the last checkpoint with half the learning rates.
        output: what the run writes.
    """

    name: str
    networks: Any = field(metadata={"parts": "networks"})
    game: Any = field(metadata={"parts": "games"})
    data: str = "mnist"
    size: int | None = None
    labels: bool = False
    seed: int = 0
    batch: int = 64
    micro_batch: int = 0
    epochs: float = 10.0
    kimg: float | None = None
    minutes: float | None = None
    mirror: bool = False
    init_from: str = ""
    noise: Noise = Noise()
    generator: Optimizer = Optimizer()
    discriminator: Optimizer = Optimizer()
    ema: float | Average = 0.0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    compile: bool = False
    sync_bn: bool = False
    on_nan: str = "stop"
    output: Output = Output()

    def __post_init__(self) -> None:
        for key in ("name", "data", "init_from"):
            text = getattr(self, key)
            check(isinstance(text, str), key, text, "a string")
            object.__setattr__(self, key, printable(text))  # TOML has no other letters; see on_disk
        require(
            self,
            size=(self.size is None or 1 <= self.size <= 4096, "1 to 4096 pixels"),
            batch=(self.batch >= 1, "at least 1"),
            micro_batch=(self.micro_batch >= 0, "0 (off) or more"),
            epochs=(0 < self.epochs < math.inf, "more than 0"),
            minutes=(self.minutes is None or 0 < self.minutes < math.inf, "more than 0"),
            kimg=(self.kimg is None or 0 < self.kimg < math.inf, "more than 0"),
            threads=(0 <= self.threads <= 1024, "0 (auto) to 1024"),
        )
        if isinstance(self.ema, Average):
            object.__setattr__(self, "ema", self.ema.shortest())
        else:
            check(0 <= self.ema < 1, "ema", self.ema, "a decay in [0, 1), or an Average")
        choice("on_nan", self.on_nan, ("stop", "rollback"))
        choice("device", self.device.split(":")[0], ("auto", "cpu", "cuda", "mps"))
        choice("precision", self.precision, ("auto", "fp32", "bf16"))
        check_numbers(self)

    @property
    def inferred(self) -> tuple[LatentCode, ...]:
        """The codes of z that D infers from the samples; () unless the game asks for them."""
        return (self.noise.codes or ()) if getattr(self.game, "infers", False) else ()

    @property
    def pairing(self) -> str:
        """What the game translates: "paired" pictures, "unpaired" ones, or "" for nothing."""
        return str(getattr(self.game, "pairing", ""))

    def images(self, examples: int) -> int:
        """The budget in real images, for a train part of `examples` examples."""
        if self.minutes is not None and self.kimg is None:
            raise UsageError(f"minutes = {self.minutes:g}: a budget only for the start of one run")
        images = self.kimg * 1000 if self.kimg is not None else self.epochs * examples
        check(images < 2**53, "budget", f"{images:.3g} images", "fewer than 9e15")
        return round(images)


def check_numbers(value: Any, key: str = "") -> None:
    """Raise a UsageError for a number in a part that is too large, infinite or NaN."""
    if is_dataclass(value):
        for f in fields(value):
            check_numbers(getattr(value, f.name), f"{key}.{f.name}" if key else f.name)
    elif isinstance(value, tuple) and any(is_dataclass(v) for v in value):
        for i, v in enumerate(value):
            check_numbers(v, f"{key}.{i}")
    else:
        in_range(key, value)


# A run may continue with other values of these settings: none of them changes a past step.
CONTINUABLE = (
    "epochs", "kimg", "minutes", "device", "precision", "threads", "compile", "on_nan", "output.",
)  # fmt: skip
