"""The domains of parameters where a model does not say them: from the places at which they stand."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from saem.errors import ModelError
from saem.families.nonlinear.laws import BOUNDED
from saem.families.nonlinear.reading import Reading
from saem.specification.domains import POSITIVE, REAL, SCALE, Domain, domain_named, interval

if TYPE_CHECKING:
    from saem.families.nonlinear.written import Written

KINDS = "'real', 'positive', 'sd' or 'interval(low, high)'"


def said_domain(text: str) -> Domain:
    """A domain as [parameters] says it.

    Raises
    ------
    ModelError
    """
    plain = text.replace(" ", "")
    if plain in ("real", "positive", "sd") or plain.startswith("interval("):
        return domain_named(plain)
    raise ModelError(f"must be {KINDS}; got {text!r:.60}")


def domains_of(model: Written, reading: Reading) -> dict[str, Domain]:
    """The domains of the parameters in centres and expressions.

    Raises
    ------
    ModelError
        When a parameter stands where it would have to be two things.
    """
    hints = _Hints(reading)
    for law in reading.laws.values():
        if law.kind == "lognormal":
            hints.factor(law.centre, POSITIVE)
        elif law.kind in BOUNDED:
            hints.bare(law.centre, interval(law.low, law.high))
    about = model.outcome.about
    for key, tree in reading.arguments.items():
        if key in about.scales:
            hints.scale(tree)
        elif key in about.positive:
            hints.factor(tree, POSITIVE)
        elif key in about.chances:
            hints.bare(tree, interval(0.0, 1.0))
    return {name: hints.found.get(name, REAL) for name in reading.mentioned}


class _Hints:
    """What the places of parameters say of them."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.found: dict[str, Domain] = {}
        self.seen: set[tuple[str, str, Domain]] = set()  # derived parameters that were looked into, and how

    def derived(self, how: str, name: str, domain: Domain = SCALE) -> ast.expr | None:
        """The expression of a derived parameter, once."""
        if name not in self.reading.derived or (how, name, domain) in self.seen:
            return None
        self.seen.add((how, name, domain))
        return self.reading.derived[name]

    def note(self, name: str, domain: Domain) -> None:
        """One more place of a name."""
        if name not in self.reading.mentioned:
            return
        before = self.found.get(name, domain)
        low, high = max(before.low, domain.low), min(before.high, domain.high)
        if not low < high:
            raise ModelError(
                f"parameter {name!r} stands where it is {before.words} and where it is {domain.words}; use two names"
            )
        if (low, high) == (before.low, before.high):
            domain = before if before != POSITIVE else domain
        elif (low, high) != (domain.low, domain.high):
            domain = interval(low, high)
        self.found[name] = domain

    def bare(self, node: ast.expr, domain: Domain) -> None:
        """A tree that must lie in a domain, if it is a name."""
        match node:
            case ast.Name(id=name):
                if inside := self.derived("bare", name, domain):
                    self.bare(inside, domain)
                self.note(name, domain)
            case ast.Call(func=ast.Name(id="where"), args=[_, yes, no]):
                self.bare(yes, domain)
                self.bare(no, domain)

    def factor(self, node: ast.expr, domain: Domain) -> None:
        """A tree that must be positive: so are its factors."""
        match node:
            case ast.BinOp(left=left, op=ast.Mult() | ast.Div(), right=right):
                self.factor(left, domain)
                self.factor(right, domain)
            case ast.BinOp(left=left, op=ast.Pow()):
                self.factor(left, domain)
            case ast.Call(func=ast.Name(id="where"), args=[_, yes, no]):
                self.factor(yes, domain)
                self.factor(no, domain)
            case ast.Name(id=name):
                if inside := self.derived("factor", name, domain):
                    self.factor(inside, domain)
                self.note(name, domain)

    def scale(self, node: ast.expr) -> None:
        """A tree that is a residual standard deviation: a factor of it, or of a term of a sum of squares."""
        match node:
            case ast.BinOp(left=left, op=ast.Add() | ast.Mult(), right=right):
                self.scale(left)
                self.scale(right)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                self.scale(left)
                self.factor(right, POSITIVE)
            case ast.BinOp(left=left, op=ast.Pow()):
                self.scale(left)
            case ast.Call(func=ast.Name(id="sqrt"), args=[square]):
                self.scale(square)
            case ast.Call(func=ast.Name(id="where"), args=[_, yes, no]):
                self.scale(yes)
                self.scale(no)
            case ast.Name(id=name):
                inside = self.derived("scale", name)
                if inside is not None:
                    self.scale(inside)
                self.note(name, SCALE)
