"""The texts of a nonlinear model, parsed, and what each of their names is; all that is wrong with them, in words."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from saem.errors import ExpressionError, ModelError, listing, nearest
from saem.expressions.folding import describe
from saem.expressions.grammar import check_name, names_in, parse
from saem.expressions.quoting import Column
from saem.families.nonlinear import trees
from saem.families.nonlinear.laws import LAWS, Law, check_numbers, read_law

if TYPE_CHECKING:
    from saem.families.nonlinear.written import Written

ALIKE = 0.8  # a parameter that is so similar to a column is asked about


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model says, as trees.

    Attributes
    ----------
    laws : dict of str to Law
        Individual parameters with a random effect.
    derived : dict of str to ast.expr
        Those without one.
    arguments : dict of str to ast.expr
        What the outcome says, by its keys.
    columns : frozenset of str
        All columns that expressions may name.
    used_columns : tuple of str
        Those that they name, in order of first use.
    mentioned : tuple of str
        Parameters and predictors, in the order in which parameters are listed.
    order : tuple of str
        The individual parameters in the order of the model file.
    problems : list of str
        What is wrong.
    """

    laws: dict[str, Law]
    derived: dict[str, ast.expr]
    arguments: dict[str, ast.expr]
    columns: frozenset[str]
    used_columns: tuple[str, ...] = ()
    mentioned: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)

    def texts(self) -> Iterator[tuple[str, ast.expr]]:
        """All expressions with where they stand: those of [individual] in its order, then the outcome's."""
        for name in self.order:
            yield f"individual.{name}", self.laws[name].centre if name in self.laws else self.derived[name]
        for key, tree in self.arguments.items():
            yield f"outcome.{key}", tree


def read(model: Written) -> Reading:
    """Parse the texts of a model and find what is wrong with them."""
    problems: list[str] = []
    laws: dict[str, Law] = {}
    derived: dict[str, ast.expr] = {}
    for name, text in model.individual.items():
        try:
            found = read_law(text)
            if isinstance(found, Law):
                laws[name] = found
            else:
                check_numbers(found, f"the individual parameter {name!r}", text)
                derived[name] = found
        except ModelError as error:
            problems.append(f"individual.{name}: {error}")
    arguments: dict[str, ast.expr] = {}
    for key, text in model.outcome.texts.items():
        try:
            arguments[key] = parse(text, large=True).body
            check_numbers(arguments[key], key, text)
        except (ExpressionError, ModelError) as error:
            problems.append(f"outcome.{key}: {error}")
    columns = frozenset((*model.columns, model.response))
    order = tuple(name for name in model.individual if name in laws or name in derived)
    reading = Reading(laws, derived, arguments, columns, order=order, problems=problems)
    if problems:
        return reading
    names = _Names(model, reading)
    problems += names.problems()
    if not problems:
        problems += unused(model, reading, names.parameters())
    return replace(reading, used_columns=names.used_columns(), mentioned=names.mentioned())


class _Names:
    """What the names in the texts of a model are."""

    def __init__(self, model: Written, reading: Reading) -> None:
        self.model, self.reading = model, reading
        self.individual, self.linear = frozenset(model.individual), frozenset(model.linear)
        self.keys = frozenset(reading.arguments)

    def mentioned(self) -> tuple[str, ...]:
        """Names that are nothing else, and predictors."""
        found: dict[str, None] = {}
        for where, tree in self.reading.texts():
            for node in name_nodes(tree):
                if self._is_parameter(node, where) or (node.id in self.linear and not isinstance(node, Column)):
                    found[node.id] = None
        return tuple(found)

    def parameters(self) -> tuple[str, ...]:
        """Those that are no predictors."""
        return tuple(name for name in self.mentioned() if name not in self.linear)

    def used_columns(self) -> tuple[str, ...]:
        """Columns that expressions name."""
        nodes = (node for _, tree in self.reading.texts() for node in name_nodes(tree))
        return tuple(dict.fromkeys(node.id for node in nodes if node.id in self.reading.columns))

    def _is_parameter(self, node: ast.Name, where: str) -> bool:
        known = self.reading.columns | self.individual | self.linear
        is_key = where.startswith("outcome.") and node.id in self.keys
        return not isinstance(node, Column) and node.id not in known and not is_key

    def problems(self) -> list[str]:
        """What is wrong with them."""
        found = self._clashes()
        for where, tree in self.reading.texts():
            found += self._of_text(where, tree)
        found += _circles("individual", self.reading.derived, self.individual - frozenset(self.reading.laws))
        found += _circles("outcome", self.reading.arguments, self.keys)
        return [*found, *self._like_columns()]

    def _clashes(self) -> list[str]:
        """Names that would be two things."""
        found = []
        for name in (*self.model.individual, *self.model.linear):
            if name in self.reading.columns:
                found.append(
                    f"{name!r} is the name of a column and of an individual parameter or predictor; rename one"
                )
        both = sorted(self.individual & self.linear)
        keys = sorted(self.keys & (self.individual | self.linear))
        found += [f"{name!r} is both in [individual] and in [linear]; rename one" for name in both]
        found += [f"{name!r} is a key of [outcome] and the name of an individual parameter or predictor; rename it"
                  for name in keys]  # fmt: skip
        return found

    def _of_text(self, where: str, tree: ast.expr) -> list[str]:
        """What is wrong with the names of one text."""
        found: list[str] = []
        is_outcome, is_own = where.startswith("outcome."), where == "outcome.log_density"
        individual = where.removeprefix("individual.")
        for node in name_nodes(tree):
            name = node.id
            if isinstance(node, Column):
                if name not in self.reading.columns:
                    found.append(f"{where}: `{name}` is a column, since it stands in backticks; add it to columns")
                continue
            if name in self.reading.columns and is_outcome and name in self.keys:
                found.append(
                    f"{where}: {name!r} is both a column and a key of [outcome]; write the column in backticks, or "
                    "rename it"
                )
            if name in self.individual and individual in self.reading.laws:
                found.append(
                    f"{where}: the centre of a law must not depend on the individual parameter {name!r}; it is made of "
                    "population parameters and columns. Write a product or a sum with a parameter of its own in "
                    "[individual] without a law"
                )
            if name in LAWS or self._is_parameter(node, where):
                try:
                    check_name(name, "a parameter")
                except ExpressionError as error:
                    found.append(f"{where}: {error}")
        response = self.model.response
        if not is_own and response in names_in(tree):
            found.append(f"{where} must not use the response {response!r} itself")
        if is_own and response not in names_in(tree):
            found.append(f"{where} never uses the response {response!r}; it is the density of the response of a row")
        for name, level in compared(tree):
            if name not in self.reading.columns:
                found.append(
                    f"{where}: {name!r} is compared with the text {level!r}, so it must be a column"
                    f"{nearest(name, self.reading.columns)}; add it to columns"
                )
        return list(dict.fromkeys(found))

    def _like_columns(self) -> list[str]:
        """Parameters that may be columns whose name is misspelt."""
        meant = set(self.model.parameters) | set(self.model.start) | set(self.model.fixed)
        found = []
        for name in self.parameters():
            for column in sorted(self.reading.columns):
                plain, other = name.lower().replace("_", ""), column.lower().replace("_", "")
                alike = plain == other or (
                    min(len(plain), len(other)) > 3 and SequenceMatcher(None, plain, other).ratio() >= ALIKE
                )
                if alike and name not in meant:
                    found.append(
                        f"{name!r} is taken for a parameter, and looks like the column {column!r}: write {column!r}; "
                        f"or, if a parameter is meant, say so: [parameters] {name} = 'real'"
                    )
        return found


def unused(model: Written, reading: Reading, parameters: tuple[str, ...]) -> list[str]:
    """Individual parameters and predictors that the outcome never uses, in words."""
    reached = reached_by(reading.arguments.values(), reading)
    found = []
    for name in model.individual:
        if name not in reached:
            near = nearest(name, parameters)
            what = "the law of" if name in reading.laws else "the individual parameter"
            found.append(
                f"individual.{name}: the outcome never uses it, so {what} {name!r} says nothing{near}; remove it"
            )
    for name in model.linear:
        if name not in reached:
            near = nearest(name, parameters)
            found.append(f"linear.{name}: nothing uses the predictor{near}; name it in the outcome, or remove it")
    return found


def reached_by(start: Iterable[ast.expr], reading: Reading) -> set[str]:
    """All names that some trees depend on, through individual parameters and the outcome's keys."""
    found: set[str] = set()
    stack = list(start)
    while stack:
        for name in names_in(stack.pop()):
            if name in found:
                continue
            found.add(name)
            inside = [reading.derived.get(name), reading.arguments.get(name)]
            if name in reading.laws:
                inside.append(reading.laws[name].centre)
            stack += [tree for tree in inside if tree is not None]
    return found


def name_nodes(tree: ast.expr) -> Iterator[ast.Name]:
    """The names of a tree, but for functions and numbers such as pi, from left to right."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Column) or (isinstance(node, ast.Name) and not trees.is_constant_name(node.id)):
            yield node
        children = node.args if isinstance(node, ast.Call) else list(ast.iter_child_nodes(node))
        stack += reversed(children)


def compared(tree: ast.expr) -> Iterator[tuple[str, str]]:
    """Names with the texts that they are compared with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            levels = [c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)]
            for part in (node.left, *node.comparators):
                if levels and isinstance(part, ast.Name):
                    yield part.id, levels[0]


def _circles(table: str, said: Mapping[str, ast.expr], names: frozenset[str]) -> list[str]:
    """Expressions that depend on themselves."""
    uses = {name: [n.id for n in name_nodes(tree) if not isinstance(n, Column) and n.id in names]
            for name, tree in said.items()}  # fmt: skip
    found = []
    for name in said:
        seen: set[str] = set()
        stack = list(uses[name])
        while stack:
            other = stack.pop()
            if other not in seen:
                seen.add(other)
                stack += uses.get(other, ())
        if name in seen:
            found.append(f"{table}.{name} depends on itself, {describe(said[name])}")
    if len(found) > 1:
        return [f"{listing([text.split(' ')[0] for text in found])} depend on each other in a circle"]
    return found
