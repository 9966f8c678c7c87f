"""Processes of one run: they find each other at each start, agree, and end together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from torch.distributed import TCPStore

from ganforge.errors import BusyError, DataError, Interrupted, PeerError
from ganforge.training import distributed, meeting
from ganforge.training.distributed import World
from ganforge.training.meeting import Meeting


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> TCPStore:
    """A launcher's store, which outlives the processes that it starts."""
    served = TCPStore(
        "127.0.0.1", 0, None, True, timedelta(seconds=30), wait_for_workers=False
    )  # fmt: skip
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(served.port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setattr(distributed, "leave", lambda: None)
    return served


def each(size: int, body: Callable[[Meeting], Any], timeout: float = 20.0) -> list[Any]:
    """What `body` returns or raises on every rank, each a thread."""
    out: list[Any] = [None] * size

    def work(rank: int) -> None:
        try:
            with meeting.attended(World(rank, size, rank, size), timeout, grace=0.3) as m:
                out[rank] = body(m)
        except BaseException as error:
            out[rank] = error

    threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return out


def test_every_rank_hears_every_other(store: TCPStore) -> None:
    def body(m: Meeting) -> Any:
        first = meeting.gather(m, {"rank": m.world.rank, "none": None})
        return first, meeting.from_leader(m, m.world.rank + 10)

    said = [{"rank": rank, "none": None} for rank in range(3)]
    assert each(3, body) == [(said, 10)] * 3


def test_one_process_hears_itself() -> None:
    with meeting.attended(World()) as m:
        assert meeting.gather(m, 5) == [5] and meeting.from_leader(m, 6) == 6


def test_processes_that_were_started_again_do_not_meet_those_before(store: TCPStore) -> None:
    """The launcher's store keeps what they have said."""
    for attempt in range(3):

        def body(m: Meeting, attempt: int = attempt) -> list[Any]:
            time.sleep(0.2 * m.world.rank)  # what it said before is there at once
            return meeting.gather(m, [attempt, m.world.rank])

        assert each(2, body) == [[[attempt, 0], [attempt, 1]]] * 2


@pytest.mark.parametrize("late", [0, 1])
def test_a_process_that_starts_late_is_waited_for(late: int, store: TCPStore) -> None:
    """What its predecessor has left in the store does not stand for it."""
    each(2, lambda m: meeting.gather(m, "before"))
    gate, here = threading.Event(), []
    met = meeting.met

    def slow(world: World, timeout: float) -> Meeting:
        if world.rank == late:
            gate.wait(30)
        m = met(world, timeout)
        here.append(world.rank)
        return m

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meeting, "met", slow)
        threading.Timer(0.5, gate.set).start()
        found = each(2, lambda m: meeting.gather(m, m.world.rank))
    assert found == [[0, 1]] * 2 and len(here) == 2


def test_an_error_ends_all_with_its_code_and_is_printed_once(store: TCPStore) -> None:
    def body(m: Meeting) -> Any:
        if m.world.rank == 1:
            raise DataError("no such file")
        return meeting.gather(m, None)

    errors = each(3, body)
    assert [error.exit_code for error in errors] == [65] * 3
    assert isinstance(errors[1], DataError) and str(errors[0]) == "rank 1: no such file"
    assert [error.printed_by(rank) for rank, error in enumerate(errors)] == [True, False, False]


@pytest.mark.parametrize(
    ("error", "code", "by"),
    [(DataError("x"), 65, 0), (RuntimeError("x"), 1, 1), (Interrupted(15), 143, 0)],
)
def test_how_others_end(error: BaseException, code: int, by: int, store: TCPStore) -> None:
    def body(m: Meeting) -> Any:
        if m.world.rank == 1:
            raise error
        return meeting.gather(m, None)

    first, second = each(2, body)
    assert second is error
    assert isinstance(first, PeerError) and first.exit_code == code and first.speaker == by


def test_ranks_that_do_not_answer_are_named(store: TCPStore) -> None:
    ready = threading.Event()

    def body(m: Meeting) -> Any:
        if m.world.rank in (0, 2):
            ready.wait(30)
            return None
        try:
            return meeting.gather(m, None)
        finally:
            ready.set()

    error = each(3, body, timeout=1.0)[1]
    assert isinstance(error, BusyError) and error.exit_code == 75
    assert "ranks 0, 2 of 3 do not answer (--timeout 1)" in str(error)
    assert error.printed_by(1) and not error.printed_by(0)


def test_an_exchange_that_breaks_names_who_is_missing(store: TCPStore) -> None:
    def body(m: Meeting) -> Any:
        if m.world.rank == 2:
            meeting.ask(m, lambda: None)
            silent.wait(30)
            return None
        raise RuntimeError("[gloo/transport/tcp] Connection closed by peer")

    silent = threading.Event()
    threading.Timer(3.0, silent.set).start()
    errors = each(3, body)
    assert all("rank 2 of 3 does not answer" in str(errors[rank]) for rank in (0, 1))
    assert errors[0].speaker == errors[1].speaker == 0


def test_processes_that_never_come_are_named(store: TCPStore) -> None:
    with pytest.raises(BusyError, match=r"ranks 1, 2 of 3 do not answer"):
        meeting.met(World(0, 3), 0.3)
    with pytest.raises(BusyError, match=r"rank 0 of 3 does not answer"):
        meeting.met(World(1, 3), 0.3)


def test_a_store_that_is_still_does_not_hold_up_a_rank(store: TCPStore) -> None:
    forever = threading.Event()
    m = Meeting(World(1, 2), store, 0.2)
    with pytest.raises(BusyError, match="rank 0 of 2 does not answer"):
        meeting.ask(m, forever.wait)
    forever.set()
