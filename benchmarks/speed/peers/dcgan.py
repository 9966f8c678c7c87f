"""The report's DCGAN, width 32, its D's flattening mended; losses and rates of its first GAN."""

import torch
from torch import nn

if __package__:
    from benchmarks.speed.peers import dropout
else:
    import dropout

W = 32


def players():
    D = nn.Sequential(
        nn.Conv2d(1, W, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(W, 2 * W, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * W), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * W, 4 * W, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * W), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * W * 3 * 3, 1),
    )  # fmt: skip
    G = nn.Sequential(
        nn.Linear(100, 4 * W * 4 * 4), nn.Unflatten(1, (4 * W, 4, 4)),
        nn.ConvTranspose2d(4 * W, 2 * W, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * W), nn.ReLU(),
        nn.ConvTranspose2d(2 * W, W, 4, 2, 1, bias=False), nn.BatchNorm2d(W), nn.ReLU(),
        nn.ConvTranspose2d(W, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    return G, D


def play(batch=64, epochs=None):
    return dropout.play(batch, epochs, players)


if __name__ == "__main__":
    torch.manual_seed(0)
    for _ in play(epochs=1):
        pass
