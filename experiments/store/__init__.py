"""What a study has computed so far, on disk."""

from experiments.store.store import Store

__all__ = ["Store"]
