"""Two connections that share the batches of a round."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import TypeVar

from pyupc.errors import PyupcError, SchemaOutOfDate
from pyupc.runtime.outage import Outage
from pyupc.tick.statements import Session

Answer = TypeVar("Answer")
Batch = tuple[str, ...]

# From one attempt to open a second connection to the next.
_AGAIN_SECONDS = 5.0
# From one attempt to give up a server that hangs to the next.
_ONCE_MORE_SECONDS = 0.5


def batches_of(symbols: Sequence[str], size: int) -> list[Batch]:
    """As few batches as it takes, of the same size but for one symbol."""
    if not symbols:
        return []
    count = -(-len(symbols) // size)
    ends = [len(symbols) * place // count for place in range(count + 1)]
    return [tuple(symbols[begin:end]) for begin, end in pairwise(ends)]


class Crew:
    """The main thread's connection and, for more than one batch, another one in a thread.

    Each takes the next batch as soon as it has done one. Without the second connection the first
    one does all.
    """

    def __init__(self, dsn: str, limit: float, session: Session, now: Callable[[], float]) -> None:
        self._session = session
        # A thread cannot be interrupted: the one that waits for it cuts the connection.
        self._partner = Session(dsn, limit, guard=lambda seconds: nullcontext())
        self._now = now
        self._pool: ThreadPoolExecutor | None = None
        self._due = now()
        self._outage = Outage(
            "pyupc.tick",
            now,
            "the second connection cannot be opened: all is done on one",
            "there is a second connection again",
            each_reason=True,
        )

    def run(
        self,
        batches: Sequence[Batch],
        ask: Callable[[Session, Batch], Answer],
        take: Callable[[Answer], None],
    ) -> None:
        """Ask about all batches; `take` gets the answers, in the main thread.

        Raises what `ask` or `take` raises, once nothing is under way any more.
        """
        waiting = deque(batches)
        if len(batches) < 2 or self._now() < self._due:
            while waiting:
                take(ask(self._session, waiting.popleft()))
            return
        answers: SimpleQueue[Answer | None] = SimpleQueue()
        work = self._start(lambda: self._help(waiting, ask, answers))
        is_over = False
        try:
            while (batch := _next(waiting)) is not None:
                take(ask(self._session, batch))
                while not (is_over or answers.empty()):
                    is_over = _pass(answers.get(), take)
            while not is_over:
                is_over = _pass(self._awaited(answers), take)
        finally:
            waiting.clear()
            while not is_over:
                is_over = self._awaited(answers) is None
        self._judge(work.result())

    def close(self) -> None:
        if self._pool is not None:
            self._partner.cut()
            self._pool.shutdown()
        self._partner.close()

    def _start(self, work: Callable[[], PyupcError | None]) -> Future[PyupcError | None]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "pyupc tick", _leave_signals)
        return self._pool.submit(work)

    def _help(
        self,
        waiting: deque[Batch],
        ask: Callable[[Session, Batch], Answer],
        answers: SimpleQueue[Answer | None],
    ) -> PyupcError | None:
        """In the thread; returns why there is no connection. None among the answers is the end."""
        try:
            if not self._partner.is_open:
                try:
                    self._partner.open(code=False)
                except SchemaOutOfDate:
                    raise
                except PyupcError as problem:
                    return problem
            while (batch := _next(waiting)) is not None:
                answers.put(ask(self._partner, batch))
            return None
        finally:
            answers.put(None)

    def _awaited(self, answers: SimpleQueue[Answer | None]) -> Answer | None:
        patience = self._partner.patience
        while True:
            try:
                return answers.get(timeout=patience)
            except Empty:
                self._partner.cut()
                patience = _ONCE_MORE_SECONDS

    def _judge(self, refusal: PyupcError | None) -> None:
        if refusal is None:
            self._outage.works()
        else:
            self._outage.failed(refusal.message)
            self._due = self._now() + _AGAIN_SECONDS


def _next(waiting: deque[Batch]) -> Batch | None:
    with suppress(IndexError):
        return waiting.popleft()
    return None


def _pass(answer: Answer | None, take: Callable[[Answer], None]) -> bool:
    """True at the end."""
    if answer is not None:
        take(answer)
    return answer is None


def _leave_signals() -> None:
    """They interrupt what the main thread waits for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
