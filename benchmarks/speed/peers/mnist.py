"""MNIST the usual way: each picture through PIL, to a tensor, normalised, one by one."""

import gzip
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

FILES = Path(__file__).parents[3] / "src/ganforge/data/mnist"


def read(name):
    raw = gzip.decompress((FILES / f"{name}.gz").read_bytes())
    sizes = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(sizes)


class MNIST(Dataset):
    """(1, 28, 28) float pictures in [-1, 1] and their labels."""

    def __init__(self):
        self.images = read("train-images-idx3-ubyte")
        self.labels = read("train-labels-idx1-ubyte")

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index])
        x = torch.from_numpy(np.array(image)).view(1, 28, 28).float().div(255)
        return x.sub(0.5).div(0.5), int(self.labels[index])


def loader(batch):
    return DataLoader(MNIST(), batch_size=batch, shuffle=True, drop_last=True)
