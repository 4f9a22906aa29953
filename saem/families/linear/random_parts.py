"""The random parts of a model: random effects and residual error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from saem.errors import ExpressionError, ModelError, listing
from saem.expressions.columns import level_text
from saem.expressions.grammar import MAX_NAME, check_name
from saem.expressions.rows import row_expression
from saem.specification.modelfile import explain

MAX_TERMS = 20


class Part(BaseModel):
    """Frozen, strict about keys, and says all that is wrong at once, in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise explain(error, list(type(self).model_fields)) from None


class RandomEffects(Part):
    """Random effects of each cluster, ``theta ~ N(0, Omega)``.

    Parameters
    ----------
    sd : str or dict, optional
        Names of the standard deviations: one name; level -> name with `by`; term -> name with several terms;
        level -> (term -> name) with both. A name used twice is one shared parameter. Left out: ``sd_<term>``, with
        `by` ``sd_<term>_<level>``.
    by : str, optional
        Column whose levels are the variance groups.
    terms : dict of str to str
        Name of the term -> row expression; by default ``{"intercept": "1"}``.
    covariance : {"full", "diagonal"}
        Whether the terms are correlated (``corr_<a>_<b>``, with `by` ``corr_<a>_<b>_<level>``). By default ``"full"``
        with several terms.
    """

    sd: str | dict[str, str] | dict[str, dict[str, str]] | None = None
    by: str | None = Field(default=None, min_length=1)
    terms: dict[str, str] = Field(default_factory=lambda: {"intercept": "1"})
    covariance: Literal["diagonal", "full"] = "diagonal"

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("terms"), dict) and len(data["terms"]) > 1:
            return {"covariance": "full", **data}
        return data

    @field_validator("sd", mode="before")
    @classmethod
    def _check_sd_type(cls, sd: Any) -> Any:
        return sd_table(sd)

    @field_validator("terms", mode="before")
    @classmethod
    def _check_terms(cls, terms: Any) -> Any:
        return row_table(terms, "a random term", MAX_TERMS)

    @model_validator(mode="after")
    def _check_sd(self) -> RandomEffects:
        if isinstance(self.sd, str) and (self.by is not None or len(self.terms) > 1):
            wanted = "one name for each level of 'by'" if self.by is not None else "one name for each term"
            raise ModelError(f"sd must be a table with {wanted}; got the single name {self.sd!r}")
        if isinstance(self.sd, dict):
            if self.by is None and len(self.terms) == 1 and set(self.sd) != set(self.terms):
                raise ModelError(
                    f"sd has the levels {listing(self.sd)}, but nothing says of which column; "
                    "add by = 'column', or give a single name"
                )
            tables: Iterable[tuple[str, Any]] = self.sd.items() if self.by is not None else [("", self.sd)]
            for level, names in tables:
                self._check_group(level, names)
        return self

    def _check_group(self, level: str, names: str | dict[str, Any]) -> None:
        """The names of one variance group."""
        where = f"sd of level {level!r}" if level else "sd"
        if isinstance(names, str):
            if len(self.terms) > 1:
                raise ModelError(f"{where} must name an SD for each of the terms {listing(self.terms)}; got {names!r}")
        elif set(names) != set(self.terms):
            raise ModelError(
                f"{where} must name an SD for each of the terms {listing(self.terms)}; got {listing(names)}"
            )
        elif not all(isinstance(name, str) for name in names.values()):
            raise ModelError(f"{where} has levels, but nothing says of which column; add by = 'column'")

    def known_levels(self) -> tuple[str, ...] | None:
        """The variance groups that the model names; None if they come from the data."""
        return _known_levels(self.by, self.sd)

    def sd_names(self, level: str | None) -> tuple[str, ...]:
        """Names of the SDs of one variance group.

        Parameters
        ----------
        level : str or None
            Level of `by`; None without `by`.

        Returns
        -------
        tuple of str
            (q,) in the order of the terms.
        """
        if self.sd is None:
            return tuple(automatic_name("sd", term, level) for term in self.terms)
        if isinstance(self.sd, str):
            return (self.sd,)
        table: Any = self.sd if level is None else self.sd[level]
        return (table,) if isinstance(table, str) else tuple(table[term] for term in self.terms)

    def corr_name(self, a: str, b: str, level: str | None) -> str:
        """Name of the correlation of two terms in one variance group."""
        return automatic_name("corr", a, b, level)


class Residual(Part):
    """Residual error, ``eps ~ N(0, sd**2)``, or ``N(0, sd**2 / weight)``.

    Parameters
    ----------
    sd : str or dict of str to str, optional
        Name of the standard deviation, or with `by` one for each level. Left out: ``sigma``, with `by`
        ``sigma_<level>``.
    by : str, optional
        Column whose levels have their own SD.
    weights : str, optional
        Column of prior weights, positive numbers: the residual variance of a row is ``sd**2`` over its weight, as that
        of a mean of so many measurements.
    """

    sd: str | dict[str, str] | None = None
    by: str | None = Field(default=None, min_length=1)
    weights: str | None = Field(default=None, min_length=1)

    @field_validator("sd", mode="before")
    @classmethod
    def _check_sd_type(cls, sd: Any) -> Any:
        table = sd_table(sd)
        if isinstance(table, dict) and not all(isinstance(name, str) for name in table.values()):
            raise ModelError(f"must be a name, or a table level -> name; got {table!r}")
        return table

    @model_validator(mode="after")
    def _check(self) -> Residual:
        if isinstance(self.sd, dict) and self.by is None:
            raise ModelError(
                f"sd has the levels {listing(self.sd)}, but nothing says of which column; add by = 'column'"
            )
        if isinstance(self.sd, str) and self.by is not None:
            raise ModelError(
                f"sd must be a table with one name for each level of 'by'; got the single name {self.sd!r}"
            )
        return self

    def known_levels(self) -> tuple[str, ...] | None:
        """The residual groups that the model names; None if they come from the data."""
        return _known_levels(self.by, self.sd)

    def sd_name(self, level: str | None) -> str:
        """Name of the SD of one residual group (None without `by`)."""
        if isinstance(self.sd, dict) and level is not None:
            return self.sd[level]
        return self.sd if isinstance(self.sd, str) else automatic_name("sigma", level)


def _known_levels(by: str | None, sd: object) -> tuple[str, ...] | None:
    if by is None:
        return ("",)
    return tuple(sd) if isinstance(sd, dict) else None


def automatic_name(*parts: str | None) -> str:
    """Join the parts of an automatic parameter name by ``_``; other characters than a-z and digits become ``_``, too.

    Parameters
    ----------
    *parts : str or None
        None is left out.

    Returns
    -------
    str
        At most `MAX_NAME` characters.
    """
    text = "_".join(part for part in parts if part is not None)
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)[:MAX_NAME]


def sd_table(sd: Any) -> Any:
    """Check the shape of ``sd = ...`` and the names in it; levels may be numbers.

    Parameters
    ----------
    sd : object
        What the model says.

    Returns
    -------
    None, str, dict of str to str, or dict of str to dict
    """
    if sd is None:
        return None
    problems: list[str] = []

    def checked(value: Any, depth: int) -> Any:
        if isinstance(value, Mapping) and depth < 2 and value:
            return {level_text(level): checked(name, depth + 1) for level, name in value.items()}
        if isinstance(value, str):
            try:
                check_name(value, "an SD")
            except ExpressionError as error:
                problems.append(str(error))
        else:
            problems.append(f"must be a name, or a table level -> name or term -> name; got {_cut(value)}")
        return value

    table = checked(sd, 0)
    if problems:
        raise ModelError("; ".join(problems), dict.fromkeys(problems))
    return table


def row_table(table: Any, what: str, limit: int) -> Any:
    """Check a table name -> row expression; a number stands for itself, as in ``mu = 1``.

    Parameters
    ----------
    table : object
        What the model says.
    what : str
        What the names are, for messages.
    limit : int
        How many there may be.

    Returns
    -------
    dict of str to str
    """
    if not isinstance(table, Mapping) or not table:
        raise ModelError(f"must be a table with at least one line, name = 'expression'; got {_cut(table)}")
    if len(table) > limit:
        raise ModelError(f"must have at most {limit} lines; got {len(table)}")
    problems = []
    result: dict[str, str] = {}
    for name, value in table.items():
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        try:
            if not isinstance(text, str):
                raise ExpressionError(f"the expression must be a text in quotes; got {_cut(text)}")
            check_name(str(name), what)
            row_expression(text)
        except ExpressionError as error:
            problems.append(f"{str(name)[:MAX_NAME]}: {error}")
        result[str(name)] = text
    if problems:
        raise ExpressionError("; ".join(problems), problems)
    return result


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
