"""Models with a design: rows depend linearly on named parameters and on normal random effects of their cluster."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from saem.expressions.rows import row_expression
from saem.families.model import Model
from saem.specification.formula import read, readable
from saem.specification.part import row_table
from saem.specification.random_effects import RandomEffects

MAX_MEANS = 200
Design = Mapping[str, str] | str


class DesignedModel(Model):
    """What families with a design share: the fixed part, a table or a formula, and the random effects.

    Attributes
    ----------
    fixed_part : str
        The key of the fixed part in a model file.
    """

    random: RandomEffects = Field(default_factory=RandomEffects)
    fixed_part: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _response_of_formula(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get(cls.fixed_part), str) and "response" not in data:
            formula = readable(data[cls.fixed_part])
            if formula is None:  # what is wrong with it is said by the check of the design
                return {**data, "response": "unknown"}
            return data if formula.response is None else {**data, "response": formula.response}
        return data

    @property
    def design(self) -> dict[str, str] | str:
        """Parameter -> row expression on which it acts; or a formula."""
        found: dict[str, str] | str = getattr(self, self.fixed_part)
        return found

    @staticmethod
    def checked_design(design: Any) -> Any:
        """A fixed part, checked."""
        if isinstance(design, str):
            read(design)
            return design
        return row_table(design, "a mean parameter", MAX_MEANS)

    def problems(self) -> list[str]:
        """See `Model.problems`: the response must not explain itself."""
        found: list[str] = []
        if isinstance(self.design, str):
            formula = read(self.design)
            if formula.response is not None and formula.response != self.response:
                found.append(
                    f"response is {self.response!r}, but the formula {self.design!r} says {formula.response!r}"
                )
            made_of = self.response_columns  # a change may well depend on what it is measured from
            if len(made_of) == 1 and made_of[0] in formula.columns:
                found.append(f"{self.fixed_part} must not use the response {made_of[0]!r} itself; got {self.design!r}")
            return found
        for name, text in self.design.items():
            if self.response in row_expression(text).columns:
                found.append(
                    f"{self.fixed_part}.{name} must not use the response {self.response!r} itself; got {text!r}"
                )
        return found

    @property
    def formula(self) -> str | None:
        """See `Model.formula`."""
        return self.design if isinstance(self.design, str) else None

    @property
    def term_names(self) -> tuple[str, ...]:
        """See `Model.term_names`."""
        return tuple(self.random.terms)

    @property
    def response_columns(self) -> tuple[str, ...]:
        """See `Model.response_columns`."""
        formula = None if self.formula is None else read(self.formula)
        return (self.response,) if formula is None or formula.left is None else formula.response_columns

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of variance groups."""
        return () if self.random.by is None else (self.random.by,)

    @cached_property
    def fixed_columns(self) -> tuple[str, ...]:
        """The columns that the fixed part depends on."""
        if self.formula is not None:
            return tuple(read(self.formula).columns)
        assert not isinstance(self.design, str)
        return columns_of(self.design)

    @cached_property
    def design_columns(self) -> tuple[str, ...]:
        """See `Model.design_columns`."""
        return tuple(dict.fromkeys([*self.fixed_columns, *columns_of(self.random.terms)]))

    def plain(self) -> Self:
        """See `Model.plain`."""
        if not self.is_transformed or self.formula is None:
            return self
        return self.replace(**{self.fixed_part: self.formula[self.formula.index("~") :]})


def columns_of(texts: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of row expressions, those of each in alphabetical order."""
    return tuple(dict.fromkeys(name for text in texts.values() for name in sorted(row_expression(text).columns)))


def refuse_response(what: str, column: str | None, response: str) -> list[str]:
    """Words where a column with another task is the response."""
    return [f"{what} must not be the response {response!r} itself"] if column == response else []
