"""The Lightning tutorial's GAN as a plain loop: perceptrons, batch 256, Adam 2e-4 (0.5, 0.999)."""

import torch
from torch import nn

if __package__:
    from benchmarks.speed.peers.mnist import loader
else:
    from mnist import loader


def block(a, b, norm=True):
    return [nn.Linear(a, b), *([nn.BatchNorm1d(b, 0.8)] if norm else []), nn.LeakyReLU(0.2)]


def play(batch=256, epochs=None):
    G = nn.Sequential(
        *block(100, 128, norm=False), *block(128, 256), *block(256, 512), *block(512, 1024),
        nn.Linear(1024, 784), nn.Tanh(),
    )  # fmt: skip
    D = nn.Sequential(
        nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2),
        nn.Linear(256, 1), nn.Sigmoid(),
    )  # fmt: skip
    loss = nn.BCELoss()
    trainer_G = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
    trainer_D = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
    data = loader(batch)
    epoch = 0
    while epochs is None or epoch < epochs:
        for i, (x, _) in enumerate(data):
            n = len(x)
            flat = x.view(n, 784)
            z = torch.randn(n, 100)
            valid = torch.ones(n, 1)
            loss_G = loss(D(G(z)), valid)
            trainer_G.zero_grad()
            loss_G.backward()
            trainer_G.step()

            fake = torch.zeros(n, 1)
            loss_D = (loss(D(flat), valid) + loss(D(G(z).detach()), fake)) / 2
            trainer_D.zero_grad()
            loss_D.backward()
            trainer_D.step()
            if i % 50 == 0:
                print(
                    f"epoch {epoch} [{i}]: loss_D {loss_D.item():.3f}, loss_G {loss_G.item():.3f}"
                )
            yield n
        epoch += 1


if __name__ == "__main__":
    torch.manual_seed(0)
    for _ in play(epochs=1):
        pass
