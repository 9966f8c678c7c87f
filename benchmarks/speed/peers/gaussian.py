"""The chapter's Gaussian game in PyTorch (d2l, 20.1): 20 epochs of 1,000 points, batch 8."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def points():
    A, b = torch.tensor([[1.0, 2.0], [-0.1, 0.5]]), torch.tensor([1.0, 2.0])
    return torch.randn(1000, 2) @ A + b


def update_discriminator(X, Z, G, D, loss, trainer):
    ones, zeros = torch.ones(len(X)), torch.zeros(len(X))
    trainer.zero_grad()
    real, fake = D(X), D(G(Z).detach())
    loss_D = (loss(real, ones.reshape(real.shape)) + loss(fake, zeros.reshape(fake.shape))) / 2
    loss_D.backward()
    trainer.step()
    return loss_D


def update_generator(Z, G, D, loss, trainer):
    ones = torch.ones(len(Z))
    trainer.zero_grad()
    fake = D(G(Z))
    loss_G = loss(fake, ones.reshape(fake.shape))
    loss_G.backward()
    trainer.step()
    return loss_G


def play(batch=8, epochs=None, report=None):
    D = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1))
    G = nn.Sequential(nn.Linear(2, 2))
    for player in (D, G):
        for w in player.parameters():
            nn.init.normal_(w, 0, 0.02)
    loss = nn.BCEWithLogitsLoss(reduction="sum")
    trainer_D = torch.optim.Adam(D.parameters(), lr=0.05)
    trainer_G = torch.optim.Adam(G.parameters(), lr=0.005)
    data = DataLoader(TensorDataset(points()), batch_size=batch, shuffle=True)
    epoch = 0
    while epochs is None or epoch < epochs:
        total = [0.0, 0.0, 0]
        for (X,) in data:
            Z = torch.normal(0, 1, size=(len(X), 2))
            loss_D = update_discriminator(X, Z, G, D, loss, trainer_D)
            loss_G = update_generator(Z, G, D, loss, trainer_G)
            total[0] += loss_D.item()
            total[1] += loss_G.item()
            total[2] += len(X)
            yield len(X)
        epoch += 1
        if report:
            report(epoch, total[0] / total[2], total[1] / total[2], G)


if __name__ == "__main__":
    torch.manual_seed(0)

    def report(epoch, loss_d, loss_g, G):
        print(f"epoch {epoch}: loss_D {loss_d:.3f}, loss_G {loss_g:.3f}")
        if epoch == 20:
            print(torch.cov(G(torch.randn(10_000, 2)).detach().T))

    for _ in play(epochs=20, report=report):
        pass
