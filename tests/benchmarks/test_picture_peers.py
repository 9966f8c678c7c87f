"""The other systems for pictures: their nets, their turns, and the record of a tiny run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from benchmarks.quality import picture_peers, pictures
from benchmarks.quality.peers import dcgan, play, r3gan
from ganforge.images import png

SIDE = 16
NOISE = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["dcgan", "r3gan"])
def test_two_turns_move_both_players_and_repeat(name: str) -> None:
    def turns() -> tuple[Any, list[Mapping[str, float]]]:
        torch.manual_seed(0)
        peer = play.find(name)(NOISE, width=8, batch=8)
        before = [p.clone() for net in (peer.g, peer.d) for p in net.parameters()]
        losses = [peer.step(0.5), peer.step(1.0)]
        after = [p for net in (peer.g, peer.d) for p in net.parameters()]
        moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert sum(moved) == len(moved)
        return peer, losses

    (first, losses), (again, same) = turns(), turns()
    assert losses == same and first.images == 16
    shown, repeated = (torch.manual_seed(1) and peer.samples(70) for peer in (first, again))
    assert shown.shape == (70, SIDE, SIDE, 3) and shown.dtype == np.uint8
    assert (shown == repeated).all()


def test_the_published_dcgan_of_64_pixels_has_its_numbers_of_weights() -> None:
    count = [sum(p.numel() for p in net(4, 64).parameters()) for net in
             (dcgan.generator, dcgan.discriminator)]  # fmt: skip
    assert count == [3_576_704, 2_765_568]


def test_the_residual_block_begins_as_the_identity_and_has_its_first_weights() -> None:
    torch.manual_seed(0)
    block, x = r3gan.Block(64, blocks=5), torch.randn(2, 64, 4, 4)
    assert torch.equal(block(x), x)
    expected = (2 / 1.04) ** 0.5 * 5**-0.25 / (16 * 9) ** 0.5
    assert block.w2.weight.shape == (128, 16, 3, 3)
    assert float(block.w2.weight.detach().std()) == pytest.approx(expected, rel=0.02)


def test_half_is_the_filter_by_hand() -> None:
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    line = [1 / 8, 3 / 8, 3 / 8, 1 / 8]
    by_hand = sum(
        line[i] * line[j] * x[:, :, 1 + i, 3 + j] for i in range(4) for j in range(4)
    )  # the output at (1, 2) begins at row 1 and column 3 of the input
    assert torch.allclose(r3gan.Half(2).double()(x)[:, :, 1, 2], torch.as_tensor(by_hand))


def test_the_schedule_of_r3gan_at_its_ends() -> None:
    peer = r3gan.R3GAN(NOISE, width=8, batch=8, lr=1e-3, gamma=2.0, half_life=1e4)
    begin = peer.follow(0.0), peer.p, peer.half, dict(peer.by_d.param_groups[0])
    end = peer.follow(1.0), peer.p, peer.half, dict(peer.by_d.param_groups[0])
    assert begin[:3] == (2.0, 0.0, 0.0) and end[:3] == pytest.approx((0.2, 0.3, 1e4))
    assert [g["lr"] for g in (begin[3], end[3])] == pytest.approx([1e-3, 2.5e-4])
    assert [g["betas"] for g in (begin[3], end[3])] == [(0.0, 0.9), (0.0, pytest.approx(0.99))]


def test_the_augmentation_of_r3gan() -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 3, SIDE, SIDE, dtype=torch.float64).requires_grad_()
    assert r3gan.augment(x, 0.0) is x
    some, every = (((r3gan.augment(x, p) - x).abs().amax((1, 2, 3)) > 0) for p in (0.1, 1.0))
    assert every.all() and 0 < int(some.sum()) < 40
    slope = torch.autograd.grad(r3gan.augment(x, 1.0).square().sum(), x, create_graph=True)[0]
    (again,) = torch.autograd.grad(slope.square().sum(), x)
    assert again.isfinite().all() and float(again.abs().sum()) > 0


class Fixed:
    """A peer whose turns take equal times by the clock that `play` reads."""

    images = 0

    def step(self, progress: float) -> Mapping[str, float]:
        self.images += 500
        return {"loss_d": progress}

    def samples(self, n: int) -> npt.NDArray[np.uint8]:
        return NOISE[:n]


def test_points_are_equal_shares_of_the_cpu_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000))  # a turn reads it twice, so that each takes a second
    monkeypatch.setattr(play.time, "process_time", lambda: float(next(clock)))
    found = list(play.play(Fixed(), seconds=6, points=3))
    assert [p["cpu"] for p in found] == [2, 4, 6]
    assert [p["kimg"] for p in found] == [1, 2, 3]
    assert [p["loss_d"] for p in found] == [0.167, 0.5, 0.833]


def test_a_pass_shows_every_picture_once() -> None:
    batches = play.Batches(torch.arange(10), 3)
    seen = torch.cat([next(batches) for _ in range(3)])
    assert len(set(seen.tolist())) == 9
    assert next(batches).shape == (3,)


def test_pictures_survive_the_way_to_the_networks_and_back() -> None:
    assert (play.stored(play.network_input(NOISE)) == NOISE).all()


def test_the_record_of_a_tiny_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    for part, count in (("train", 210), ("test", 105)):
        (tmp_path / "set" / part).mkdir(parents=True)
        for i, x in enumerate(rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)):
            (tmp_path / "set" / part / f"{i}.png").write_bytes(png(x))
    monkeypatch.setattr(pictures, "METRICS", ("frechet",))
    monkeypatch.setattr(pictures, "SPACE", "pca")
    picture_peers.main([
        "dcgan", "width=2", "batch=8", "--train", f"{tmp_path}/set/train", "--held-out",
        f"{tmp_path}/set/test", "--size", str(SIDE), "--minutes", "0.01", "--n", "100",
        "--results", f"{tmp_path}/found.jsonl", "--seed", "7",
    ])  # fmt: skip
    (line,) = (tmp_path / "found.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["name"], record["recipe"]) == ("dcgan", "peer dcgan")
    assert (record["data"], record["seed"], record["minutes"]) == ("set", 7, 0.01)
    half, whole = record["points"]
    assert 0 < half["cpu"] < whole["cpu"] and 0 < half["kimg"] < whole["kimg"]
    assert set(whole) == {"kimg", "cpu", "loss_d", "loss_g", "frechet", "frechet_floor"}
    assert (tmp_path / "found" / "set-dcgan-7.png").read_bytes().startswith(b"\x89PNG")
    assert "frechet" in capsys.readouterr().out


def test_a_peer_whose_process_fails_leaves_no_record(tmp_path: Path) -> None:
    asked = picture_peers.arguments(
        ["dcgan", "--train", "x", "--held-out", "y", "--python", "/bin/false"]
    )
    with pytest.raises(SystemExit, match="dcgan: its process ended with 1"):
        list(picture_peers.played(asked, NOISE))
