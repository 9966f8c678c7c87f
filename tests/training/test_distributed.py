"""Two processes play the game of one: ranks equal bit for bit, and equal to a single process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganforge.errors import UsageError
from ganforge.training import distributed, meeting
from ganforge.training.distributed import World

# Plays `steps` steps of a game in double precision, on real batches that are a function of the
# step, and saves every tensor of the state.
PLAYER = """
import sys
from dataclasses import replace
import numpy as np, torch
from ganforge import distributed, game, state
from ganforge.codec import DataSpec
from ganforge.config import Config, LatentCode, Noise, Optimizer
from ganforge.gan.information import Information
from ganforge.training.random_inputs import RandomInputSource
from ganforge.game import Adversarial, StepOptions
from ganforge.nets import DCGAN, MLP, InfoGAN
from ganforge.nets.resnet import ResNet
from ganforge.nets.stylegan import StyleGAN2
from ganforge.gan.path_length import PathLength
from ganforge.penalties import R1, R2, GradientPenalty
from ganforge.players import Batch, RandomInputs, StepHyperparameters
from ganforge.rng import Stream

loss, kind, steps, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
world = distributed.from_environment()
distributed.join(world, "cpu")
conv = kind == "batch-norm"
spec = DataSpec((1, 16, 16)) if conv else DataSpec((2,), 0, "float32", False, (0.0,), (1.0,))
networks = DCGAN(4, 4) if conv else MLP((16, 16), (16, 16), discriminator_norm=sys.argv[5])
penalties = (R1(1.0, 2), R2(0.5, 1))
if kind == "styles":
    spec, penalties = DataSpec((1, 16, 16)), (R1(1.0, 2), PathLength(interval=2))
    networks = StyleGAN2(64, 4, 5)
if kind == "resnet":
    spec, conv, penalties = DataSpec((1, 16, 16)), True, (GradientPenalty(),)
    networks = ResNet(4, 4, discriminator_norm="layer")
rules, noise = Adversarial(loss=loss, penalties=penalties), Noise(4)
if kind == "codes":
    spec, conv, networks = DataSpec((1, 16, 16)), True, InfoGAN(4, 6)
    codes = LatentCode("digit", "categorical", 3), LatentCode("slant", "uniform", 1)
    rules, noise = Information(loss=loss, penalties=penalties), Noise(6, "normal", codes)
config = Config("test", networks, rules, batch=16, noise=noise, sync_bn=conv, ema=0.9)
began = state.initial(config, spec)
for module in (began.players.generator, began.players.discriminator, began.average):
    module.double()
began.aux = {name: value.double() for name, value in began.aux.items()}
from ganforge import optimizers
began.optimizers = {
    side: optimizers.build(Optimizer(lr=1e-3), getattr(began.players, side).parameters())
    for side in ("generator", "discriminator")
}
first, count = world.part(16)
drawer = RandomInputSource(config, spec, began.players, "cpu", (first, count))
how = StepOptions(batch=16, all_reduce=distributed.all_reduce if world.size > 1 else None)

def double(d):
    return replace(d, z=d.z.double())

for step in range(steps):
    x = Stream(0, "real").normal(step * 16 + first, count, spec.size)
    real = torch.from_numpy(x.copy()).double().view(count, *spec.shape)
    draws = {side: [double(d) for d in ds] for side, ds in drawer.at(step).items()}
    game.step(began, config.game, [Batch(real)], draws,
              StepHyperparameters({"generator": 1e-3, "discriminator": 1e-3}, 0.9,
                                  average_statistics=conv), how)
np.savez(f"{out}-{world.rank}-of-{world.size}.npz",
         **{k: v.numpy() for k, v in state.tensors(began).items()})
distributed.leave()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def play(
    tmp_path: Path, loss: str, kind: str, steps: int, size: int
) -> list[dict[str, np.ndarray]]:
    port = free_port()
    out = tmp_path / f"{loss}-{kind}"
    processes = []
    for rank in range(size):
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        if size > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
        words = [sys.executable, "-c", PLAYER, loss, kind, str(steps), str(out)]
        words.append("spectral" if kind == "spectral" else "none")
        processes.append(subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    files = [np.load(f"{out}-{rank}-of-{size}.npz", allow_pickle=False) for rank in range(size)]
    tensors = [dict(f) for f in files]
    for f in files:
        f.close()
    return tensors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("relativistic", "perceptron"),
        ("non-saturating", "batch-norm"),
        ("hinge", "spectral"),
        ("wasserstein", "resnet"),
        ("non-saturating", "styles"),
        ("non-saturating", "codes"),
    ],
)
def test_two_processes_are_one(tmp_path: Path, loss: str, kind: str) -> None:
    steps = 200 if kind == "perceptron" else 20
    a, b = play(tmp_path, loss, kind, steps, size=2)
    (alone,) = play(tmp_path, loss, kind, steps, size=1)
    assert a.keys() == b.keys() == alone.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        np.testing.assert_allclose(a[name], alone[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_batch_is_split_evenly_or_refused() -> None:
    assert [World(r, 4).part(64) for r in range(4)] == [(0, 16), (16, 16), (32, 16), (48, 16)]
    with pytest.raises(UsageError, match="--batch 66"):
        World(0, 3).part(64)


CHILD = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: exit(9))
print(flush=True)
input()
"""


PEER = """
import os, sys
from ganforge import cli
from ganforge.training import loop
def stop(*given, **named):
    os.kill(os.getpid(), 9) if os.environ["RANK"] == "1" else None
    return asked(*given, **named)
asked = loop.should_stop
loop.should_stop = stop
sys.exit(cli.main())
"""


def test_a_process_that_is_killed_is_no_bug_of_ours(tmp_path: Path) -> None:
    code = tmp_path / "peer.py"
    code.write_text(PEER)
    words = ["gaussian", "--kimg", "0.08", "--output.score", "false", "--threads", "1"]
    out = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            str(code), "train", *words, "--out", str(tmp_path / "run"),
        ],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert out.returncode and "ganforge: rank 1 of 2 does not answer" in out.stderr
    assert "bug of ours" not in out.stderr


def test_the_code_of_a_process_that_a_signal_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

    def play(options: Any) -> None:
        raise ChildFailedError("ganforge", {1: ProcessFailure(1, 5, -signal.SIGKILL, "")})

    monkeypatch.setattr(torchrun, "run", play)
    before = signal.getsignal(signal.SIGUSR1)
    try:
        assert distributed.launch(2, ["train", "gaussian"]) == 137
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"WORLD_SIZE": "2"}, "RANK = ''"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "LOCAL_RANK = ''"),
        ({"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0"}, "WORLD_SIZE = 'two'"),
    ],
)
def test_half_an_environment_of_torchrun_is_reported(
    environment: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(UsageError, match=named):
        distributed.from_environment()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert distributed.from_environment() == World()


def test_processes_that_cannot_meet_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes do not meet"):
        meeting.met(World(0, 2, 0), 5.0)


def test_the_launcher_hands_on_the_signal_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would die of it, and leave the processes of the run without one."""
    from torch.distributed import run as torchrun

    codes = []

    def play(options: Any) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        signal.raise_signal(signal.SIGUSR1)
        codes.append(child.wait(60))
        child.communicate()

    monkeypatch.setattr(torchrun, "run", play)
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        assert distributed.launch(2, ["train", "gaussian"]) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert codes == [9]
