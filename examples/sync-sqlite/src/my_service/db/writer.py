"""A pool for the one connection to SQLite that writes."""

import gc
import logging
from collections import deque

from sqlalchemy import QueuePool, exc
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.pool.base import _ConnectionRecord
from sqlalchemy.util.queue import Empty, Queue


class FairQueue(Queue[ConnectionPoolEntry]):
    """A queue that gives a connection to the thread that has waited longest."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.line: deque[object] = deque()

    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        turn = object()
        with self.not_empty:
            self.line.append(turn)
            try:
                if not self.not_empty.wait_for(
                    lambda: self.queue and self.line[0] is turn,
                    timeout if block else 0,
                ):
                    raise Empty
                return self._get()
            finally:
                self.line.remove(turn)
                if self.queue:
                    self.not_empty.notify()


class WriterPool(QueuePool):
    """A pool of one connection, for which the writers of this process queue."""

    _queue_class = FairQueue

    def _create_connection(self) -> ConnectionPoolEntry:
        # Opened at checkout, so that the next writer in the queue gets it if that fails.
        return _ConnectionRecord(self, connect=False)

    def connect(self) -> PoolProxiedConnection:
        try:
            if self.checkedout():
                # Because a traceback may refer to a session that was not closed, collect it.
                gc.collect(1)
            return super().connect()
        except exc.TimeoutError as error:
            raise exc.TimeoutError(
                f"another session was writing for {self.timeout():g} s (pool_timeout); pass that"
                " session on if it is yours, and read with `manager.ReadSession`"
            ) from error


# SQLAlchemy names the logger of a pool after its class.
logging.getLogger(f"{__name__}.WriterPool").setLevel(logging.WARNING)
