"""Paths between noises a and b, whose samples change step by step.

    z(s) = (sin((1 - s) v) a + sin(s v) b) / sin v    normal, v the angle of a and b
    z(s) = (1 - s) a + s b                            uniform, and codes

Normal noise has its mass on a sphere, which the path does not leave. s goes from 0 to 1; of a loop
u = i / steps grows, and the last sample is followed by the first:

    z(u) = cos(2 pi u) a + sin(2 pi u) b              normal
    z(u) = (1 - s) a + s b, s = (1 - cos(2 pi u)) / 2 uniform, and codes
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganforge.config.noise import Noise
from ganforge.sampling.codes import Codes, with_code
from ganforge.types import Array


def noises(ends: Tensor, t: Tensor, noise: Noise, codes: Codes, loop: bool) -> Tensor:
    """(R, S, Z): R paths of S noises.

    Args:
        ends: (2 R, Z), where the paths begin, then where they end.
        t: (S,) times in [0, 1].
        noise: the law of z.
        codes: what `codes.checked` gave. If there are ranges each path walks one, in turn, and all
            else in z stays.
        loop: whether the paths are closed.
    """
    a, b = ends.unsqueeze(1).chunk(2)
    walked = [name for name, value in codes.items() if isinstance(value, tuple)]
    z = a.repeat(1, len(t), 1) if walked else path(a, b, t, noise, loop)
    rows, steps, size = z.shape
    flat = z.flatten(0, 1)
    for name, value in codes.items():
        if not isinstance(value, tuple):
            flat = with_code(flat, noise, name, torch.full((len(flat),), value, device=z.device))
    s = there_and_back(t) if loop else t
    z = flat.view(rows, steps, size)
    for row in range(rows if walked else 0):
        name = walked[row % len(walked)]
        low, high = codes[name]  # type: ignore[misc]  # it has a range
        z[row] = with_code(z[row], noise, name, low + (high - low) * s)
    return z


def shares(labels: Array, classes: int, t: Tensor, loop: bool) -> Tensor:
    """(S, K): shares of the classes on the way through labels (P,), at times t (S,).

    Between two labels both shares change on a line; a loop goes back to the first label.
    """
    stops = [*labels, labels[0]] if loop else list(labels)
    table = nn.functional.one_hot(torch.as_tensor(stops), classes).to(t)
    place = t * (len(stops) - 1)
    first = place.floor().long().clamp_max(len(stops) - 2)
    rest = (place - first).unsqueeze(1)
    return (1 - rest) * table[first] + rest * table[first + 1]


def path(a: Tensor, b: Tensor, t: Tensor, noise: Noise, loop: bool) -> Tensor:
    """Noises (R, S, Z) from a (R, 1, Z) to b, or on a closed path through a, at times t (S,)."""
    times, curve = t.unsqueeze(1), closed if loop else between
    plain = curve(a[..., : noise.plain], b[..., : noise.plain], times, noise.law)
    if not noise.codes:
        return plain
    coded = curve(a[..., noise.plain :], b[..., noise.plain :], times, "uniform")
    return torch.cat([plain, coded], 2)


def between(a: Tensor, b: Tensor, t: Tensor, law: str) -> Tensor:
    """Numbers (R, S, F) from a (R, 1, F) to b, at times t (S, 1)."""
    if law != "normal":
        return (1 - t) * a + t * b
    cosine = nn.functional.cosine_similarity(a, b, dim=2).unsqueeze(2)
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def closed(a: Tensor, b: Tensor, t: Tensor, law: str) -> Tensor:
    """Numbers (R, S, F) on a closed path through a (R, 1, F), at times t (S, 1)."""
    if law == "normal":
        angle = 2 * torch.pi * t
        return torch.cos(angle) * a + torch.sin(angle) * b
    return between(a, b, there_and_back(t), law)


def there_and_back(t: Tensor) -> Tensor:
    """Times of a closed path on a line: 0 at t = 0, 1 at t = 1/2, and back."""
    return (1 - torch.cos(2 * torch.pi * t)) / 2
