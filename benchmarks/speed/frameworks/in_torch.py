"""The chapter's Gaussian game in plain PyTorch, and as the recipe `gaussian` of this project."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.speed.frameworks import measure
from benchmarks.speed.frameworks.measure import POINTS, SAMPLES
from benchmarks.speed.peers import gaussian
from ganforge import recipes
from ganforge.data.load import load
from ganforge.runs.folder import Run
from ganforge.training import divergence
from ganforge.training.device import resolve
from ganforge.training.trainer import CHECK_STEPS, Trainer


def plain(seed, epochs, report):
    """The tutorial's loop, see `benchmarks.speed.peers.gaussian`."""
    torch.manual_seed(seed)
    last = []

    def epoch_ends(epoch, loss_D, loss_G, G):
        report(loss_D, loss_G)
        last[:] = [G]

    for _ in gaussian.play(epochs=epochs, report=epoch_ends):
        pass
    with torch.no_grad():
        return last[0](torch.randn(SAMPLES, 2)).numpy()


def ours(seed, epochs, report):
    """The loop of `ganforge train gaussian`, with its log and its look at the weights."""
    config = replace(recipes.gaussian(), seed=seed, epochs=epochs, threads=1)
    data = load(config.data)
    with tempfile.TemporaryDirectory() as folder:
        t = Trainer.build(config, Run(Path(folder)), data, resolve(config))
        while t.state.step < t.steps:
            t.step()
            ended = t.state.step * config.batch % POINTS == 0
            if ended or t.state.step % CHECK_STEPS == 0:
                divergence.check(t)
                if ended:
                    t.log()
            if ended:
                report(t.means["loss_d"], t.means["loss_g"])
        return t.sampler().sample(SAMPLES, seed=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure.main({"plain": plain, "ours": ours}, {"torch": torch.__version__})
