"""One worker computes what waits in the queue, all of it together.

Nothing waits for company: the worker takes what has come in while it computed the last round. A
sample does not depend on its company (see `Sampler`), so that an answer has the same bytes alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch

from ganforge.errors import lacks_memory
from ganforge.sampling.sampler import Sampler
from ganforge.serve.limits import Limits
from ganforge.serve.metrics import Metrics
from ganforge.serve.pictures import encoded
from ganforge.serve.problems import RequestError, short_of_memory
from ganforge.serve.values import SampleRequest
from ganforge.types import Array

Outcome = bytes | Exception
TURNS = 4  # of the event loop between two rounds


@dataclass
class Job:
    """A request in the queue, and the future that its answer is for."""

    sampler: Sampler
    request: SampleRequest
    answer: asyncio.Future[bytes]
    began: float = field(default_factory=time.monotonic)
    dropped: bool = False


class Batcher:
    """The queue and its worker, a thread that torch computes in."""

    def __init__(self, limits: Limits, metrics: Metrics):
        self.limits, self.metrics = limits, metrics
        self.queue: deque[Job] = deque()
        self.pictures = 0  # in the queue
        self.changed = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, "sampling")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within, what is in the queue is computed."""
        work = asyncio.create_task(self.work())
        try:
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            self.thread.shutdown()

    async def samples(self, sampler: Sampler, request: SampleRequest) -> bytes:
        """The body of the answer to a request.

        Raises:
            RequestError: 503 if the queue is full or memory lacks, 504 past the deadline. A request
                past its deadline, or whose task is cancelled, is not computed.
        """
        job = Job(sampler, request, asyncio.get_running_loop().create_future())
        full = len(self.queue) >= self.limits.requests
        if full or self.pictures + request.n > self.limits.pictures:
            raise RequestError(503, "too many requests wait: try again", {"Retry-After": "1"})
        self.queue.append(job)
        self.pictures += request.n
        self.changed.set()
        try:
            async with asyncio.timeout(self.limits.deadline):
                made = await job.answer
        except TimeoutError:
            seconds = f"{self.limits.deadline:g} seconds"
            detail = f"no samples within {seconds}: ask for fewer, or try again"
            raise RequestError(504, detail, {"Retry-After": "1"}) from None
        finally:
            job.dropped = True  # without effect on a job that is done
        self.metrics.seconds.add(time.monotonic() - job.began)
        return made

    async def work(self) -> None:
        """Rounds for ever. The event loop has turns between two rounds, in which answers leave and
        requests that have come are read, so that they are in the next round together."""
        loop = asyncio.get_running_loop()
        while True:
            await self.changed.wait()
            jobs = self.round()
            alive = [job for job in jobs if not job.dropped]
            self.metrics.dropped += len(jobs) - len(alive)
            for _, same in groupby(sorted(alive, key=kind), key=kind):
                together = list(same)
                outcomes = await loop.run_in_executor(self.thread, self.compute, together)
                deliver(together, outcomes)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def round(self) -> list[Job]:
        """The jobs of the next round, at least one."""
        jobs: list[Job] = []
        count = 0
        while self.queue and (not jobs or count + self.queue[0].request.n <= self.limits.round):
            jobs.append(self.queue.popleft())
            count += jobs[-1].request.n
        self.pictures -= count
        if not self.queue:
            self.changed.clear()
        return jobs

    def compute(self, jobs: list[Job]) -> list[Outcome]:
        """The outcomes of jobs of one kind, computed together; each alone if they fail together."""
        try:
            made = generated(jobs)
        except Exception as error:  # whatever torch raises: the worker goes on
            if len(jobs) > 1:
                return [self.compute([job])[0] for job in jobs]
            return [short_of_memory() if lacks_memory(error) else error]
        self.metrics.together.add(len(jobs))
        self.metrics.pictures += sum(map(len, made))
        return [attempt(job, samples) for job, samples in zip(jobs, made, strict=True)]


def kind(job: Job) -> tuple[int, float]:
    """Jobs of one kind go through the networks together."""
    return id(job.sampler), job.request.truncation


def generated(jobs: list[Job]) -> list[Array]:
    """The samples of each job, from one call of `Sampler.generate`."""
    sampler, asked = jobs[0].sampler, [job.request for job in jobs]
    z = torch.cat([sampler.z(r.n, r.seed, r.first) for r in asked])
    labels = None
    if asked[0].labels is not None:
        labels = np.concatenate([np.array(r.labels, dtype=np.int64) for r in asked])
    made = sampler.generate(z, labels, asked[0].truncation)
    return np.split(made, np.cumsum([r.n for r in asked])[:-1])


def attempt(job: Job, samples: Array) -> Outcome:
    """The body of a job's answer, or why it cannot be made."""
    try:
        return encoded(samples, job.request, job.sampler)
    except Exception as error:  # of one job: the others get their answers
        return error


def deliver(jobs: list[Job], outcomes: list[Outcome]) -> None:
    """Hand the answers of a round to those who wait."""
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.answer.done():
            continue
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)
