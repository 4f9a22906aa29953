"""Linear models with several grouping factors: what a model file says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from saem.errors import ModelError, listing
from saem.families.crossed.layout import Block, Layout
from saem.families.designed_model import DesignedModel, columns_of, refuse_response
from saem.families.linear.specification import Residual
from saem.specification.grouping import GroupingFactor, has_factors, named_factors
from saem.specification.parameters import Parameters


class CrossedModel(DesignedModel):
    """A linear mixed model with random effects of the levels of several grouping factors, nested or crossed.

    Parameters
    ----------
    mean : dict of str to str, or str
        Parameter -> row expression on which it acts; or a formula, ``"y ~ treatment * modification"``.
    random : dict of str to GroupingFactor
        ``[random.NAME]`` blocks, one for each factor.
    residual : Residual or dict
    cluster : sequence of str, optional
        All columns of the factors; it need not be said.
    family, response, constraints, fixed, priors
        As in `saem.families.model.Model`.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    also_reads: ClassVar[tuple[str, ...]] = ("linear",)
    family: str = "crossed"
    mean: dict[str, str] | str
    random: dict[str, GroupingFactor] = Field(min_length=1)  # type: ignore[assignment]
    residual: Residual = Field(default_factory=Residual)
    fixed_part: ClassVar[str] = "mean"

    @model_validator(mode="before")
    @classmethod
    def _cluster_of_factors(cls, data: Any) -> Any:
        """The cluster columns are those of the factors."""
        if not isinstance(data, dict) or not has_factors(data.get("random")):
            return data
        columns: list[str] = []
        for block in data["random"].values():
            own = block.cluster if isinstance(block, GroupingFactor) else dict(block).get("cluster", ())
            columns += [own] if isinstance(own, str) else list(own)
        found = tuple(dict.fromkeys(columns))
        said = data.get("cluster")
        said = (said,) if isinstance(said, str) else said
        if said is not None and set(said) != set(found):
            raise ModelError(
                f"cluster is {listing(said)}, but the blocks of [random] say their own: {listing(found)}; remove the "
                "line cluster = .."
            )
        return {**data, "cluster": found}

    @field_validator("mean", mode="before")
    @classmethod
    def _check_mean(cls, mean: Any) -> Any:
        return cls.checked_design(mean)

    @field_validator("residual", mode="before")
    @classmethod
    def _check_residual(cls, residual: Any) -> Any:
        if isinstance(residual, Mapping):
            sd = residual.get("sd")
            is_function = isinstance(sd, str) and not sd.strip().isidentifier()
            more = [key for key in ("correlation", "df", "columns") if key in residual] + ["sd"] * is_function
            if more:
                raise ModelError(
                    f"{more[0]} = {residual[more[0]]!r:.60}: variance functions, correlated and Student-t residuals "
                    "are there with one clustering factor, not beside [random.NAME] blocks; use by, weights, or one "
                    "cluster = 'column'"
                )
        return residual

    @field_validator("random", mode="before")
    @classmethod
    def _check_random(cls, random: Any) -> Any:
        return named_factors(random)

    @property
    def groupings(self) -> tuple[tuple[str, ...], ...]:
        """See `saem.families.model.Model.groupings`."""
        return tuple(factor.cluster for factor in self.random.values())

    @property
    def label_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.label_columns`."""
        return "factor", "level"

    @property
    def label_word(self) -> str:
        """See `saem.families.model.Model.label_word`: a level of a factor."""
        return "level"

    def numbers(self, labels: Any) -> dict[str, int]:
        """See `saem.families.model.Model.numbers`."""
        return {name: int((labels["factor"] == name).sum()) for name in self.random}

    def problems(self) -> list[str]:
        """See `saem.families.model.Model.problems`."""
        found = super().problems() + refuse_response("residual.weights", self.residual.weights, self.response)
        for factor in self.random.values():
            found += [
                f"random.{factor.name}.cluster must not name the response {self.response!r}"
                for name in factor.cluster
                if name == self.response
            ]
        return found

    @cached_property
    def term_names(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.term_names`: those of all factors."""
        return tuple(dict.fromkeys(term for factor in self.random.values() for term in factor.terms))

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of variance and of residual groups."""
        found = (*(factor.by for factor in self.random.values()), self.residual.by)
        return tuple(dict.fromkeys(by for by in found if by is not None))

    @cached_property
    def design_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.design_columns`."""
        random = [name for factor in self.random.values() for name in columns_of(factor.terms)]
        return tuple(dict.fromkeys([*self.fixed_columns, *random]))

    @property
    def number_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.number_columns`."""
        return () if self.residual.weights is None else (self.residual.weights,)

    def known_parameters(self) -> Parameters | None:
        """See `saem.families.model.Model.known_parameters`."""
        levels = [factor.known_levels() for factor in self.random.values()]
        residuals = self.residual.known_levels()
        if isinstance(self.mean, str) or residuals is None or any(each is None for each in levels):
            return None
        blocks = tuple(
            Block(factor, level)
            for factor, own in zip(self.random.values(), levels, strict=True)
            for level in own or ()
        )
        return Layout(tuple(self.mean), blocks, self.residual.sd_names(residuals), self.fixed).parameters

    def equations(self) -> list[str]:
        """See `saem.families.model.Model.equations`."""
        from saem.expressions.latex import word
        from saem.families.designed_latex import fixed_sum, group_words, normal, random_lines, random_sum, summed

        residual = self.residual
        by = "" if residual.weights is None else f" / {word(residual.weights)}"
        parts = [*fixed_sum(self), *(part for each in self.random.values() for part in random_sum(self, each))]
        lines = [*summed(word(self.response), [*parts, r"\varepsilon"])]
        lines += [line for factor in self.random.values() for line in random_lines(factor)]
        levels = residual.known_levels()
        for level in ("level",) if levels is None else levels:
            where = "" if residual.by is None else group_words(residual.by, None if levels is None else level)
            lines.append(normal(r"\varepsilon", residual.sd_name(level if residual.by else None), where, by))
        return lines
