"""Settings of the whole suite: one thread a process, and no network."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["GANFORGE_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import torch

torch.set_num_threads(1)
