"""The linear family's models: a Gaussian response with a mean, random effects and a residual error."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from saem.errors import ModelError, listing
from saem.families.designed_model import DesignedModel, refuse_response
from saem.specification.layout import Layout, check_distinct, told_apart
from saem.specification.parameters import Parameters
from saem.specification.part import Part, automatic_name, known_levels, sd_table
from saem.specification.random_effects import RandomEffects


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
        return known_levels(self.by, self.sd)

    def sd_names(self, levels: tuple[str, ...]) -> list[str]:
        """Names (H,) of the SDs of all residual groups.

        Raises
        ------
        ModelError
            When two levels lead to one automatic name.
        """
        told = levels if self.sd is not None else told_apart(levels)
        names = [self.sd_name(None if self.by is None else level) for level in told]
        if self.sd is None:
            check_distinct(names, self.by)
        return names

    def sd_name(self, level: str | None) -> str:
        """Name of the SD of one residual group (None without `by`)."""
        if isinstance(self.sd, dict) and level is not None:
            return self.sd[level]
        return self.sd if isinstance(self.sd, str) else automatic_name("sigma", level)


class LinearModel(DesignedModel):
    """A linear mixed-effects model whose means and standard deviations may be tied by equations.

    Parameters
    ----------
    mean : dict of str to str, or str
        Parameter -> row expression on which it acts; or a formula, ``"y ~ treatment * modification"``.
    random : RandomEffects or dict
    residual : Residual or dict
    family, response, cluster, constraints, fixed, priors
        As in `saem.families.model.Model`.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    family: str = "linear"
    mean: dict[str, str] | str
    random: RandomEffects = Field(default_factory=RandomEffects)
    residual: Residual = Field(default_factory=Residual)
    fixed_part: ClassVar[str] = "mean"

    @field_validator("mean", mode="before")
    @classmethod
    def _check_mean(cls, mean: Any) -> Any:
        return cls.checked_design(mean)

    def problems(self) -> list[str]:
        """See `saem.families.model.Model.problems`."""
        return super().problems() + refuse_response("residual.weights", self.residual.weights, self.response)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of variance and of residual groups."""
        return tuple(by for by in (self.random.by, self.residual.by) if by is not None)

    @property
    def number_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.number_columns`."""
        return () if self.residual.weights is None else (self.residual.weights,)

    def known_parameters(self) -> Parameters | None:
        """See `saem.families.model.Model.known_parameters`."""
        groups, residuals = self.random.known_levels(), self.residual.known_levels()
        if isinstance(self.mean, str) or groups is None or residuals is None:
            return None
        return layout_of(self, tuple(self.mean), groups, residuals).parameters

    def equations(self) -> list[str]:
        """See `saem.families.model.Model.equations`."""
        from saem.expressions.latex import word
        from saem.families.designed_latex import design_sum, group_words, normal, random_lines, summed

        residual = self.residual
        by = "" if residual.weights is None else f" / {word(residual.weights)}"
        lines = [*summed(word(self.response), [*design_sum(self), r"\varepsilon"]), *random_lines(self.random)]
        levels = residual.known_levels()
        for level in ("level",) if levels is None else levels:
            where = "" if residual.by is None else group_words(residual.by, None if levels is None else level)
            lines.append(normal(r"\varepsilon", residual.sd_name(level if residual.by else None), where, by))
        return lines


@lru_cache(maxsize=64)
def layout_of(
    model: LinearModel, means: tuple[str, ...], group_levels: tuple[str, ...], residual_levels: tuple[str, ...]
) -> Layout:
    """Where each parameter acts, made once for many tables; nobody may change its arrays.

    Parameters
    ----------
    model : LinearModel
    means : tuple of str
        (p,) names of the mean parameters.
    group_levels, residual_levels : tuple of str
        Levels of the variance groups and of the residual groups.
    """
    return Layout(means, model.random, group_levels, model.residual.sd_names(residual_levels), model.fixed)
