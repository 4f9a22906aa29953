"""What a study has computed so far, on disk."""

from .store import Store

__all__ = ["Store"]
