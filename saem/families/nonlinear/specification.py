"""Nonlinear mixed-effects models: what a model file says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, Strict, field_validator

from saem.errors import ExpressionError, ModelError, listing, nearest
from saem.expressions.grammar import check_name
from saem.families.model import Model
from saem.families.nonlinear import predictors
from saem.families.nonlinear.hints import said_domain
from saem.families.nonlinear.outcome_keys import Outcome
from saem.families.nonlinear.random_keys import Grouping
from saem.families.nonlinear.reading import Reading, read
from saem.families.nonlinear.slots import slots_of
from saem.specification.parameters import Parameters

MAX_INDIVIDUAL = 50
_Finite = Annotated[float, Strict(), Field(allow_inf_nan=False)]


class NonlinearModel(Model):
    """A mixed-effects model whose rows have any density, given individual parameters of their cluster.

    Parameters
    ----------
    outcome : Outcome or dict
    individual : dict of str to str
        Name -> ``"law(centre, sd)"`` with a law of `saem.families.nonlinear.laws`, or an expression.
    columns : sequence of str
        What expressions read beside the response; any other name is a parameter.
    occasion : str or sequence of str, optional
        Columns whose combinations are the occasions of a cluster, to which laws with ``occasion_sd=..`` add an effect
        that is independent between occasions: ``"lognormal(CL_pop, omega_CL, occasion_sd=gamma_CL)"``.
    random : Grouping or dict
        Correlated blocks and variance groups.
    linear : dict of str to str
        Predictor -> formula without a left side, ``"~ treatment * time"``; its coefficients are ``predictor_column``.
    parameters : dict of str to str
        Name -> ``"real"``, ``"positive"``, ``"sd"`` or ``"interval(low, high)"``, where places do not say it.
    start : dict of str to float
        Where the search begins.
    family, response, cluster, constraints, fixed, priors
        As in `saem.families.model.Model`.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    family: str = "nonlinear"
    columns: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    individual: dict[str, str] = Field(default_factory=dict)
    occasion: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    random: Grouping = Field(default_factory=Grouping)
    linear: dict[str, str] = Field(default_factory=dict)
    outcome: Outcome
    parameters: dict[str, str] = Field(default_factory=dict)
    start: dict[str, _Finite] = Field(default_factory=dict)

    @field_validator("individual", "linear", mode="before")
    @classmethod
    def _check_names(cls, table: Any) -> Any:
        if not isinstance(table, Mapping):
            return table
        if len(table) > MAX_INDIVIDUAL:
            raise ModelError(f"must have at most {MAX_INDIVIDUAL} lines; got {len(table)}")
        problems = []
        for name in table:
            try:
                check_name(str(name), "an individual parameter or a predictor")
            except ExpressionError as error:
                problems.append(f"{name!s:.64}: {error}")
        if problems:
            raise ModelError("; ".join(problems), problems)
        return {name: repr(text) if _is_number(text) else text for name, text in table.items()}

    @field_validator("occasion", mode="before")
    @classmethod
    def _occasion_columns(cls, occasion: Any) -> Any:
        return (occasion,) if isinstance(occasion, str) else occasion

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(columns)) != len(columns):
            raise ModelError(f"must not name a column twice; got {listing(columns)}")
        return columns

    @field_validator("parameters")
    @classmethod
    def _check_domains(cls, parameters: dict[str, str]) -> dict[str, str]:
        problems = []
        for name, text in parameters.items():
            try:
                said_domain(text)
            except ModelError as error:
                problems.append(f"{name:.64}: {error}")
        if problems:
            raise ModelError("; ".join(problems), problems)
        return parameters

    @cached_property
    def reading(self) -> Reading:
        """The texts, parsed."""
        return read(self)

    def problems(self) -> list[str]:
        """See `saem.families.model.Model.problems`."""
        return list(self._found)

    @cached_property
    def _found(self) -> tuple[str, ...]:
        """What is wrong, but for what the parameters together show."""
        found = [*self.reading.problems, *predictors.problems_of(self.linear, self.response)]
        laws = self.reading.laws
        sds = [law.sd for law in laws.values()]
        of_occasions = [name for name, law in laws.items() if law.occasion_sd is not None]
        if of_occasions and not self.occasion:
            found.append(
                f"individual.{of_occasions[0]} has an occasion_sd, but nothing says what an occasion is; add occasion "
                "= 'column'"
            )
        if self.occasion and not of_occasions and not self.reading.problems:
            found.append(
                f"occasion = {listing(self.occasion)}, but no law has an effect of occasions; say for instance "
                '"lognormal(CL_pop, omega_CL, occasion_sd=gamma_CL)", or remove occasion'
            )
        sds += [law.occasion_sd for law in laws.values() if law.occasion_sd is not None]
        for name in dict.fromkeys(name for block in self.random.correlated for name in block):
            if name not in laws:
                found.append(
                    f"random.correlated names {name!r}{nearest(name, laws)}, which is no individual parameter with a "
                    f"law; those are {listing(laws)}"
                )
        for name in self.random.sd:
            if name not in sds:
                found.append(
                    f"random.sd names {name!r}{nearest(name, sds)}, which is the SD of no law; those are {listing(sds)}"
                )
        said = self.outcome.correlated
        if said is not None and said.parameter in (
            *self.all_columns,
            *self.individual,
            *self.linear,
            *self.reading.mentioned,
        ):
            found.append(
                f"outcome.correlation: {said.parameter!r} must be a name of its own; it stands elsewhere in the model"
            )
        taken = {
            "occasion": self.occasion,
            "random.by": (self.random.by,),
            "outcome": self.outcome.columns,
            "columns": self.columns,
        }
        for where, columns in taken.items():
            if self.response in columns:
                found.append(f"{where} must not name the response {self.response!r}")
        return tuple(found)

    def known_parameters(self) -> Parameters | None:
        """See `saem.families.model.Model.known_parameters`."""
        if self._found or self.linear:
            return None
        return slots_of(self, self.random.levels, {}).parameters

    @property
    def term_names(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.term_names`: the individual parameters with a law."""
        return tuple(name for name in self.reading.order if name in self.reading.laws)

    @property
    def knows_terms(self) -> bool:
        """See `saem.families.model.Model.knows_terms`: occasions are those of the data."""
        return not self.occasion

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of variance groups, and of occasions."""
        return (*(() if self.random.by is None else (self.random.by,)), *self.occasion)

    @cached_property
    def design_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.design_columns`."""
        used = (*self.reading.used_columns, *predictors.columns_of(self.linear))
        return tuple(dict.fromkeys(name for name in used if name != self.response))

    @property
    def number_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.number_columns`."""
        return self.outcome.columns

    def equations(self) -> list[str]:
        """See `saem.families.model.Model.equations`."""
        from saem.families.nonlinear.latex import equations

        return equations(self, self.reading, frozenset(self.all_columns))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
