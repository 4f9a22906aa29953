"""Kinds of parameters in the words of the tests: "mean", "sd", "corr"."""

from __future__ import annotations

from collections.abc import Sequence

from saem.specification.domains import Domains, domain_named
from saem.specification.parameters import Parameters


def kinds_of(parameters: Parameters) -> tuple[str, ...]:
    """The kind of each parameter."""
    return tuple("mean" if domain.name == "real" else domain.name for domain in parameters.domains)


def domains_of(kinds: Sequence[str]) -> Domains:
    """The domains of kinds."""
    return Domains([domain_named(kind) for kind in kinds])


def slots_of(*pairs: tuple[str, str]) -> list:
    """Names with their domains, from names with their kinds."""
    return [(name, domain_named(kind)) for name, kind in pairs]
