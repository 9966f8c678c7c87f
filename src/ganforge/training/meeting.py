"""How the processes of one run find each other, agree before they train, and notice a loss.

Everything here goes through a key-value store (torch's TCPStore), not through tensors: it works
before there is a process group and after one has broken. Every wait ends after a timeout, with the
names of the ranks that are missing.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ganforge.errors import BusyError, GanforgeError, Interrupted, PeerError, UsageError, lacks_peer
from ganforge.training import distributed
from ganforge.training.distributed import ALONE, TIMEOUT, World

if TYPE_CHECKING:  # a torch that was built without it trains in one process
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")

GRACE = 3.0  # seconds, see `Meeting.grace`
PAUSES = (0.005, 0.2)  # seconds between two looks at the store, the first and the longest


@dataclass(frozen=True)
class Meeting:
    """The processes of a run that have met. store: None for one process. timeout: of every wait.

    turns: numbers the questions that all ranks answer. grace: seconds in which the other ranks say
    why they end.
    """

    world: World = ALONE
    store: Store | None = None
    timeout: float = TIMEOUT
    turns: Iterator[int] = field(default_factory=count)
    grace: float = GRACE


NOBODY = Meeting()


@contextmanager
def attended(world: World, timeout: float = TIMEOUT, grace: float = GRACE) -> Iterator[Meeting]:
    """Meet the other processes; an error within ends all of them, with one line and one exit code.

    Raises UsageError if this process cannot take part, BusyError if others are missing.
    """
    if world.size == 1:
        yield NOBODY
        return
    m = replace(met(world, timeout), grace=grace)
    try:
        yield m
    except BaseException as error:
        if lacks_peer(error):
            raise why(m) from error
        end(m, {} if isinstance(error, PeerError) else reason_of(m, error))
        raise
    finally:
        distributed.leave()


def gather(m: Meeting, value: Any) -> list[Any]:
    """What each rank says, by rank: `value` on this one, anything that JSON holds.

    All ranks call it in the same order. Raises PeerError if a rank has ended with an error,
    BusyError if ranks have not answered in time.
    """
    if m.store is None:
        return [value]
    store, prefix = m.store, f"turn/{next(m.turns)}"
    keys = [f"{prefix}/{rank}" for rank in range(m.world.size)]
    ask(m, lambda: store.set(keys[m.world.rank], json.dumps(value)))
    if not wait_until(m.timeout, lambda: look(m, keys)):
        answers = ask(m, lambda: read(store, keys))
        raise missing(m, [rank for rank, answer in enumerate(answers) if not answer])
    return [json.loads(answer) for answer in ask(m, lambda: store.multi_get(keys))]


def from_leader(m: Meeting, value: Any) -> Any:
    """The leader's `value`, on every rank."""
    return gather(m, value if m.world.is_main_process else None)[0]


def look(m: Meeting, keys: list[str]) -> bool:
    """Whether all keys are in the store; PeerError if a rank has ended with an error."""
    store = m.store
    assert store is not None
    for rank, reason in ask(m, lambda: ended(store, m.world.size)).items():
        if "code" in reason:
            raise peer_error(rank, reason)
    return ask(m, lambda: bool(store.check(keys)))


def wait_until(seconds: float, true: Callable[[], bool]) -> bool:
    """Ask again and again until the answer is yes; False after so many seconds.

    Between two looks Python's signal handlers run, as they cannot while torch waits.
    """
    end, pause = time.monotonic() + seconds, PAUSES[0]
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(1.5 * pause, PAUSES[1])
    return True


def ask(m: Meeting, question: Callable[[], T], seconds: float | None = None) -> T:
    """The store's answer; BusyError if the process that serves it is still and does not.

    torch waits for such an answer without end, so that a thread does it here.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(question())
        except Exception as caught:
            answer.set_exception(caught)

    threading.Thread(target=work, name="ganforge-store", daemon=True).start()
    if not wait([answer], m.timeout if seconds is None else seconds).done:
        raise missing(m, [0])
    return answer.result()


# --- to find each other -----------------------------------------------------------------------


def met(world: World, timeout: float) -> Meeting:
    """The meeting of this attempt, of which every process has been seen to live.

    A launcher that starts its processes again serves the same store to them, with the keys of those
    before, and how often it has done so differs between machines. So each process names itself by a
    fresh random token and the leader lists the tokens; a process that finds its token listed takes
    the leader's as the prefix of all keys.
    """
    base, token = connected(world, timeout), uuid.uuid4().hex
    m = Meeting(world, base, timeout)
    hello, ready = ([f"ganforge/{what}/{rank}" for rank in range(world.size)]
                    for what in ("hello", "ready"))  # fmt: skip
    agreed: list[str] = []

    def lead() -> bool:
        base.set("ganforge/listed", json.dumps([token, *read(base, hello)]))
        agreed[:] = read(base, ready)
        return agreed == [token] * world.size

    def follow() -> bool:
        (text,) = read(base, ["ganforge/listed"])
        leader, *listed = json.loads(text) if text else ("", "")
        if token in listed:
            agreed[:] = [leader]
            base.set(ready[world.rank], leader)
        return bool(agreed)

    first = ready if world.is_main_process else hello
    ask(m, lambda: base.set(first[world.rank], token))
    if not wait_until(timeout, lambda: ask(m, lead if world.is_main_process else follow)):
        absent = [rank for rank, one in enumerate(agreed) if one != token]
        raise missing(m, absent if world.is_main_process else [0])
    from torch.distributed.distributed_c10d import PrefixStore

    return Meeting(world, PrefixStore(f"ganforge/{agreed[0]}", base), timeout)


def read(store: Store, keys: list[str]) -> list[str]:
    """The values of keys, "" for those that are not there."""
    return [store.get(key).decode() if store.check([key]) else "" for key in keys]


def connected(world: World, timeout: float) -> Store:
    """The store that the environment names: the launcher's, or one that the leader serves."""
    from torch.distributed.rendezvous import rendezvous

    waiting, seconds = Meeting(world, None, timeout), timedelta(seconds=timeout)

    def connect() -> Store:
        # as if for one process: torch waits for the others without names, and without signals
        found = rendezvous("env://", world.rank, 1, timeout=seconds)
        store: Store = next(found)[0]
        return store

    try:
        return ask(waiting, connect)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        if "timed out" in reason:
            raise missing(waiting, [0]) from None
        raise UsageError(
            f"the {world.size} processes do not meet ({reason}): start them with torchrun or --gpus"
        ) from None


# --- to end together --------------------------------------------------------------------------


def reason_of(m: Meeting, error: BaseException) -> dict[str, Any]:
    """An error of this rank, as the others hear of it."""
    code, prints = 1, True
    if isinstance(error, GanforgeError):
        code, prints = error.exit_code, error.printed_by(m.world.rank)
    elif isinstance(error, Interrupted):
        code, prints = 128 + error.signal, False
    return {"code": code, "text": str(error) or type(error).__name__, "prints": prints}


def ended(store: Store, size: int) -> dict[int, dict[str, Any]]:
    """The reason of each rank that has ended."""
    if not store.check(["ended"]):
        return {}
    found = read(store, [f"ended/{rank}" for rank in range(size)])
    return {rank: json.loads(text) for rank, text in enumerate(found) if text}


def end(m: Meeting, reason: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Say that this rank ends; the reasons of the ranks that end within a moment, of this at least.

    The process group is left: that wakes those who still wait for this rank. The leader, whose
    process may serve the store, stays until the others have read the reasons.

    Args:
        reason: the rank's error, see `reason_of`; nothing if it ends because of another.
    """
    store, rank = m.store, m.world.rank
    found: dict[int, dict[str, Any]] = {rank: {}}
    assert store is not None

    def say() -> None:
        store.set(f"ended/{rank}", json.dumps(reason))
        store.set("ended", "")

    def everybody() -> bool:
        found.update(ask(m, lambda: ended(store, m.world.size), m.grace))
        return len(found) == m.world.size

    def read_by_all() -> bool:
        return bool(ask(m, lambda: store.check([f"read/{other}" for other in found]), m.grace))

    with suppress(RuntimeError, BusyError):
        ask(m, say, m.grace)
    distributed.leave()
    with suppress(RuntimeError, BusyError):  # whoever serves the store has ended, or is still
        wait_until(m.grace, everybody)
        ask(m, lambda: store.set(f"read/{rank}", ""), m.grace)
        if m.world.is_main_process:
            wait_until(m.grace, read_by_all)
    return found


def peer_error(rank: int, reason: dict[str, Any]) -> PeerError:
    """The error of another rank, as this one raises it: printed once, by that rank or by 0."""
    text = str(reason["text"])
    text = text if text.startswith("rank") else f"rank {rank}: {text}"
    return PeerError(text, reason["code"], rank * reason["prints"])


def why(m: Meeting) -> GanforgeError:
    """The reason of a broken exchange: another rank's error, or the ranks that are missing."""
    found = end(m, {})
    for rank, reason in sorted(found.items()):
        if "code" in reason:
            return peer_error(rank, reason)
    return missing(m, [rank for rank in range(m.world.size) if rank not in found])


def missing(m: Meeting, ranks: list[int]) -> BusyError:
    """BusyError that names ranks that do not answer; the first of the others prints it."""
    size, names = m.world.size, ", ".join(map(str, ranks[:16]))
    text = f"the connection between the {size} processes is broken"
    if len(ranks) == 1:
        text = f"rank {names} of {size} does not answer"
    elif ranks:
        names += ", ..." if len(ranks) > 16 else ""
        text = f"ranks {names} of {size} do not answer"
    error = BusyError(
        f"{text} (--timeout {m.timeout:g}): the last checkpoint is whole, and the same command "
        "goes on from there"
    )
    error.speaker = min(set(range(size)) - set(ranks), default=0)
    return error
