"""The signals by which others than the user end a program: a batch system, `timeout`, a shutdown, a closed terminal."""

from __future__ import annotations

import signal

ENDED_BY_OTHERS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
