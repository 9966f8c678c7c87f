"""stylegan2-pytorch 1.9.0 and lightweight-gan 1.2.1 (both MIT), each turn by its own trainer.

Neither is a dependency. Each runs in an environment of its own, whose copy is changed there for the
CPU, because both require a GPU when they are imported:

    python -m venv peers && peers/bin/pip install -c constraints.txt torch==2.13.0 \\
        einops kornia tqdm fire retry vector-quantize-pytorch==0.1.0 adabelief-pytorch==0.2.0
    peers/bin/pip install --no-deps stylegan2-pytorch==1.9.0 lightweight-gan==1.2.1
    cd peers/lib/python3.11/site-packages
    sed -i -E "/^assert torch.cuda/d; /self\\.cuda\\(rank\\)/d; s/\\.cuda\\([a-z.]*\\)//; \\
        s/f'cuda:\\{self.rank\\}'/'cpu'/; /^import aim/d" \\
        stylegan2_pytorch/stylegan2_pytorch.py lightweight_gan/lightweight_gan.py

torchvision has to be there to import both, but is not used here: an empty package with the modules
`transforms` and `utils` is enough. Batches come from memory in place of their loaders, and
neither writes pictures or checkpoints during the budget. Samples are those of the trained
generator without truncation: the averages of both begin after 20,000 steps only.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.quality.peers.play import Batches, network_input, stored

NEVER = 10**9


def trainer(module: str, pictures: npt.NDArray[np.uint8], batch: int, **options: Any) -> Any:
    """A trainer of a package that takes its batches from memory and writes nothing."""
    made = importlib.import_module(module).Trainer(
        base_dir=tempfile.mkdtemp(), image_size=pictures.shape[1], batch_size=batch,
        save_every=NEVER, evaluate_every=NEVER, **options,
    )  # fmt: skip
    made.loader = Batches((network_input(pictures) + 1) / 2, batch)
    made.save = made.evaluate = lambda *args, **kwargs: None  # both are due at step 0
    return made


class Package:
    """A peer whose turns are those of its package's trainer."""

    trainer: Any
    a_step: int
    images: int

    def step(self, progress: float) -> Mapping[str, float]:
        del progress
        self.trainer.train()
        self.images += self.a_step
        return {"loss_d": self.trainer.d_loss, "loss_g": self.trainer.g_loss}


class StyleGAN2(Package):
    """Batches of 5 added up 6 times, capacity 16, no augmentation: the command's defaults."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        width: float = 16,
        batch: float = 5,
        times: float = 6,
        lr: float = 2e-4,
        augment: float = 0.0,
    ):
        self.trainer = trainer(
            "stylegan2_pytorch.stylegan2_pytorch", pictures, int(batch), lr=lr,
            network_capacity=int(width), gradient_accumulate_every=int(times), aug_prob=augment,
        )  # fmt: skip
        self.a_step, self.images = int(batch) * int(times), 0

    @torch.no_grad()
    def samples(self, n: int) -> npt.NDArray[np.uint8]:
        gan, made = self.trainer.GAN, []
        for at in range(0, n, 16):
            count = min(16, n - at)
            w = gan.S(torch.randn(count, gan.G.latent_dim))
            styles = w[:, None].expand(-1, gan.G.num_layers, -1)
            noise = torch.rand(count, gan.G.image_size, gan.G.image_size, 1)
            made.append(gan.G(styles, noise))
        return stored(torch.cat(made) * 2 - 1)


class LightweightGAN(Package):
    """Batches of 10 added up 4 times, attention at 32 pixels: the defaults; N decides `augment`."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        width: float = 512,
        batch: float = 10,
        times: float = 4,
        lr: float = 2e-4,
        attention: float = 32,
        augment: float = -1,
    ):
        by_count = min(0.5, max(0.0, 1e5 - len(pictures)) * 3e-6)
        self.trainer = trainer(
            "lightweight_gan.lightweight_gan", pictures, int(batch), lr=lr, use_aim=False,
            fmap_max=int(width), gradient_accumulate_every=int(times),
            attn_res_layers=[int(attention)] if attention else [],
            aug_prob=by_count if augment < 0 else augment,
        )  # fmt: skip
        self.a_step, self.images = int(batch) * int(times), 0

    @torch.no_grad()
    def samples(self, n: int) -> npt.NDArray[np.uint8]:
        """In evaluation mode, as the package samples."""
        gan = self.trainer.GAN.eval()
        made = [gan.G(torch.randn(min(16, n - at), gan.latent_dim)) for at in range(0, n, 16)]
        return stored(torch.cat(made) * 2 - 1)
