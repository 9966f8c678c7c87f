"""The report's first GAN: small perceptrons with dropout, one-sided label smoothing."""

import torch
from torch import nn

if __package__:
    from benchmarks.speed.peers.mnist import loader
else:
    from mnist import loader


def block(a, b):
    return [nn.Linear(a, b), nn.LeakyReLU(0.2), nn.Dropout(0.3)]


def players():
    h = 32
    D = nn.Sequential(
        nn.Flatten(), *block(784, 4 * h), *block(4 * h, 2 * h), *block(2 * h, h), nn.Linear(h, 1)
    )
    G = nn.Sequential(
        *block(100, h), *block(h, 2 * h), *block(2 * h, 4 * h), nn.Linear(4 * h, 784), nn.Tanh()
    )
    return G, D


def play(batch=64, epochs=None, players=players):
    G, D = players()
    loss = nn.BCEWithLogitsLoss()
    trainer_D = torch.optim.Adam(D.parameters(), lr=0.002)
    trainer_G = torch.optim.Adam(G.parameters(), lr=0.002)
    data = loader(batch)
    epoch = 0
    while epochs is None or epoch < epochs:
        for i, (x, _) in enumerate(data):
            n = len(x)
            trainer_D.zero_grad()
            real_loss = loss(D(x).squeeze(), torch.ones(n) * 0.9)
            with torch.no_grad():
                fake = G(torch.rand(n, 100) * 2 - 1)
            fake_loss = loss(D(fake).squeeze(), torch.zeros(n))
            loss_D = real_loss + fake_loss
            loss_D.backward()
            trainer_D.step()

            trainer_G.zero_grad()
            fake = G(torch.rand(n, 100) * 2 - 1)
            loss_G = loss(D(fake).squeeze(), torch.ones(n))
            loss_G.backward()
            trainer_G.step()
            if i % 400 == 0:
                print(
                    f"epoch {epoch} [{i}]: loss_D {loss_D.item():.3f}, loss_G {loss_G.item():.3f}"
                )
            yield n
        epoch += 1


if __name__ == "__main__":
    torch.manual_seed(0)
    for _ in play(epochs=1):
        pass
