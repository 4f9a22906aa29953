"""What is read of a model as it was written, by what the class of models is made of."""

from __future__ import annotations

from typing import Protocol

from saem.families.nonlinear.outcome_keys import Outcome
from saem.families.nonlinear.random_keys import Grouping


class Written(Protocol):
    """The keys of a model file; see `saem.families.nonlinear.specification.NonlinearModel`."""

    @property
    def response(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def individual(self) -> dict[str, str]: ...
    @property
    def random(self) -> Grouping: ...
    @property
    def linear(self) -> dict[str, str]: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def parameters(self) -> dict[str, str]: ...
    @property
    def start(self) -> dict[str, float]: ...
    @property
    def fixed(self) -> dict[str, float]: ...
