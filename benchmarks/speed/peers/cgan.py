"""The report's conditional GAN (Mirza & Osindero 2014): perceptrons and label embeddings."""

import torch
from torch import nn

if __package__:
    from benchmarks.speed.peers.mnist import loader
else:
    from mnist import loader


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(10, 10)
        self.body = nn.Sequential(
            nn.Linear(110, 256), nn.LeakyReLU(0.2), nn.Linear(256, 512), nn.LeakyReLU(0.2),
            nn.Linear(512, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 784), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z, y):
        return self.body(torch.cat([z, self.label(y)], 1)).view(-1, 1, 28, 28)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(10, 10)
        self.body = nn.Sequential(
            nn.Linear(794, 1024), nn.LeakyReLU(0.2), nn.Dropout(0.3),
            nn.Linear(1024, 512), nn.LeakyReLU(0.2), nn.Dropout(0.3),
            nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(256, 1),
        )  # fmt: skip

    def forward(self, x, y):
        return self.body(torch.cat([x.flatten(1), self.label(y)], 1)).squeeze(1)


def play(batch=64, epochs=None):
    G, D = Generator(), Discriminator()
    for player in (G, D):
        for w in player.parameters():
            nn.init.normal_(w, 0, 0.01)
    loss = nn.BCEWithLogitsLoss()
    trainer_G = torch.optim.Adam(G.parameters(), lr=1e-4)
    trainer_D = torch.optim.Adam(D.parameters(), lr=1e-4)
    data = loader(batch)
    epoch = 0
    while epochs is None or epoch < epochs:
        for i, (x, y) in enumerate(data):
            n = len(x)
            trainer_D.zero_grad()
            real_loss = loss(D(x, y), torch.ones(n))
            labels = torch.randint(0, 10, (n,))
            fake = G(torch.randn(n, 100), labels)
            fake_loss = loss(D(fake.detach(), labels), torch.zeros(n))
            loss_D = real_loss + fake_loss
            loss_D.backward()
            trainer_D.step()

            trainer_G.zero_grad()
            labels = torch.randint(0, 10, (n,))
            loss_G = loss(D(G(torch.randn(n, 100), labels), labels), torch.ones(n))
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
