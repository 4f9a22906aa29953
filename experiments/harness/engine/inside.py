"""What the process of `experiments.engine.child` does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from saem.errors import SaemError

from ..process.inside import Inside
from ..process.memory import allowed, limit_memory
from ..study.records import Record
from ..study.tasks import Job, prepared, records_of

STARTED = "started"
KEPT = 0.05  # seconds that records may wait for others, so that a task of fast methods is one answer


def main() -> None:
    """Answer requests until there are no more."""
    inside = Inside()

    @contextmanager
    def watch(what: str) -> Iterator[None]:
        """Watch what begins; records do not wait for what may take long."""
        if waiting and time.monotonic() - sent > KEPT:
            give(float("nan"))
        with inside.watch(what, limit, waiting):
            yield

    def give(seconds: float) -> None:
        """Send the records that wait."""
        nonlocal sent
        inside.send((waiting.copy(), seconds))
        waiting.clear()
        inside.note.clear()
        sent = time.monotonic()

    waiting: list[Record] = []
    sent = time.monotonic()
    job: Job = inside.requests.get()
    limit_memory(allowed(job.memory))
    try:
        prepared(job.functions, job.digest)
    except SaemError as error:
        inside.send(error)
    else:
        inside.send(STARTED)
    while True:
        tasks, limit = inside.requests.get()
        for task in tasks:
            begun = sent = time.monotonic()
            for record in records_of(job, task, watch):
                waiting.append(record)
            give(time.monotonic() - begun)
