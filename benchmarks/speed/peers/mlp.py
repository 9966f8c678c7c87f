"""The 'paper explained' article's perceptrons with batch norm, k = 1."""

import torch
from torch import nn

if __package__:
    from benchmarks.speed.peers.mnist import loader
else:
    from mnist import loader


def block(a, b, norm=True):
    return [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if norm else []), nn.LeakyReLU(0.2)]


def play(batch=64, epochs=None):
    G = nn.Sequential(
        *block(100, 256), *block(256, 512), *block(512, 1024), nn.Linear(1024, 784), nn.Tanh()
    )
    D = nn.Sequential(
        *block(784, 512, norm=False), *block(512, 256, norm=False), nn.Linear(256, 1), nn.Sigmoid()
    )
    loss = nn.BCELoss()
    trainer_G = torch.optim.Adam(G.parameters(), lr=1e-4)
    trainer_D = torch.optim.Adam(D.parameters(), lr=2e-4)
    data = loader(batch)
    epoch = 0
    while epochs is None or epoch < epochs:
        losses_D, losses_G = [], []
        for x, _ in data:
            n = len(x)
            flat = x.view(n, 784)
            real, fake = torch.ones(n, 1), torch.zeros(n, 1)

            trainer_D.zero_grad()
            z = torch.randn(n, 100)
            made = G(z)
            loss_D = (loss(D(flat), real) + loss(D(made.detach()), fake)) / 2
            loss_D.backward()
            trainer_D.step()

            trainer_G.zero_grad()
            loss_G = loss(D(G(z)), real)
            loss_G.backward()
            trainer_G.step()

            losses_D.append(loss_D.item())
            losses_G.append(loss_G.item())
            yield n
        epoch += 1
        print(f"epoch {epoch}: loss_D {sum(losses_D) / len(losses_D):.3f}, "
              f"loss_G {sum(losses_G) / len(losses_G):.3f}")  # fmt: skip


if __name__ == "__main__":
    torch.manual_seed(0)
    for _ in play(epochs=1):
        pass
