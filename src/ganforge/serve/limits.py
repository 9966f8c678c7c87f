"""The limits of the service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a request, a connection and the queue may cost.

    Args:
        body: bytes of a request's body that is no picture.
        picture: bytes of a picture.
        waiting: bytes of pictures that are received, wait or are translated at most.
        pixels: of a picture.
        samples: of one request.
        numbers: of an answer in JSON.
        requests, pictures: that wait at most.
        round: samples that are computed together at most, so that deadlines are seen in time.
        deadline: seconds from the request to its samples or its translation.
        receive: seconds for the head of a request, and as many for each `portion` of its body.
        portion: bytes.
        send: seconds in which a client reads an answer.
        connections: that are open at most.
        drain: seconds for the accepted requests after SIGTERM.
    """

    body: int = 4096
    picture: int = 2**23
    waiting: int = 2**27
    pixels: int = 4_000_000
    samples: int = 64
    numbers: int = 1_000_000
    requests: int = 256
    pictures: int = 16_384
    round: int = 256
    deadline: float = 10.0
    receive: float = 5.0
    portion: int = 2**18
    send: float = 60.0
    connections: int = 256
    drain: int = 10
