"""Films: pictures one after another as mp4, webm or gif."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from ganforge import images
from ganforge.errors import require_extra
from ganforge.types import Pixels

KINDS = (".mp4", ".webm", ".gif")
# container -> (encoder, its options): every player reads these two; the quality is that of a master
ENCODERS = {
    "mp4": ("libx264", {"crf": "16", "preset": "medium"}),
    "webm": ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4"}),
}


def film(frames: Sequence[Pixels], kind: str, fps: float) -> bytes:
    """The bytes of a film.

    Args:
        frames: (H, W, 3) uint8 each, at least one; the edge of an odd height or width is
            doubled in mp4 and webm, which have none.
        kind: one of KINDS.
        fps: frames a second.

    Raises:
        UsageError: the extra is not installed.
    """
    if kind == ".gif":
        return images.gif(frames, max(20, round(1000 / fps)), last=None)
    require_extra("a film as mp4 or webm", "film", "av", otherwise=", or write a .gif")
    import av
    from av.codec.context import Flags

    container = kind.removeprefix(".")
    encoder, options = ENCODERS[container]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as file:
        stream = file.add_stream(encoder, rate=round(fps), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = (side + side % 2 for side in frames[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        stream.codec_context.flags |= Flags.bitexact
        for frame in frames:
            room = [(0, side % 2) for side in frame.shape[:2]]
            even = np.pad(frame, [*room, (0, 0)], mode="edge")
            file.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        file.mux(stream.encode())
    return buffer.getvalue()


def enlarged(frames: Sequence[Pixels], size: int) -> list[Pixels]:
    """Frames whose longer side has about `size` pixels: whole multiples, so nothing is blurred."""
    scale = max(1, round(size / max(frames[0].shape[:2])))
    return [frame.repeat(scale, 0).repeat(scale, 1) for frame in frames]
