"""Generalised linear mixed models with several grouping factors: what a model file says."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from saem.errors import ModelError, listing
from saem.families.designed_model import columns_of, refuse_response
from saem.families.glmm.specification import GlmmModel
from saem.specification.domains import CORRELATION, REAL, SD, Domain
from saem.specification.grouping import GroupingFactor, check_apart, named_factors
from saem.specification.parameters import Parameters


class CrossedGlmmModel(GlmmModel):
    """A generalised linear mixed model with random effects of the levels of several factors, nested or crossed.

    Parameters
    ----------
    random : dict of str to GroupingFactor or dict
        Name of a grouping factor -> its columns, terms and standard deviations.
    cluster : sequence of str, optional
        All columns of the factors; follows from them.
    predictor, outcome, response, constraints, fixed, priors
        As in `saem.families.glmm.specification.GlmmModel`.

    Raises
    ------
    ModelError
        Listing all that is wrong.
    """

    also_reads: ClassVar[tuple[str, ...]] = ("glmm",)
    family: str = "crossed_glmm"
    random: dict[str, GroupingFactor] = Field(min_length=1)  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _cluster_of_factors(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("random"), dict):
            return data
        found: dict[str, None] = {}
        for block in data["random"].values():
            own = block.get("cluster") if isinstance(block, dict) else getattr(block, "cluster", None)
            found |= dict.fromkeys((own,) if isinstance(own, str) else tuple(own or ()))
        said = data.get("cluster")
        said = (said,) if isinstance(said, str) else tuple(said or found)
        if found and set(said) != set(found):
            raise ModelError(
                f"cluster is {listing(said)}, but the grouping factors have the columns {listing(found)}; leave "
                "cluster out, for each [random.NAME] block says its own"
            )
        return {**data, "cluster": tuple(found)} if found else data

    @field_validator("random", mode="before")
    @classmethod
    def _named(cls, random: Any) -> Any:
        return named_factors(random)

    def problems(self) -> list[str]:
        """See `saem.families.model.Model.problems`."""
        found = super().problems()
        for name, factor in self.random.items():
            for column in factor.cluster:
                found += refuse_response(f"random.{name}.cluster", column, self.response)
            if factor.by is not None:
                found.append(
                    f"random.{name}.by = {factor.by!r}: variance groups of a factor are not there in {self.family} "
                    "models; remove by, or use a term for each group, as in terms = { f = \"sex == 'F'\", .. }"
                )
        return found

    @property
    def term_names(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.term_names`: the terms of any factor."""
        return tuple(dict.fromkeys(term for factor in self.random.values() for term in factor.terms))

    @property
    def label_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.label_columns`: the components are numbered."""
        return ("component",)

    @property
    def knows_terms(self) -> bool:
        """See `saem.families.model.Model.knows_terms`: the levels of a component are those of the data."""
        return False

    @property
    def group_columns(self) -> tuple[str, ...]:
        """There are no variance groups."""
        return ()

    @cached_property
    def design_columns(self) -> tuple[str, ...]:
        """See `saem.families.model.Model.design_columns`."""
        terms = (column for factor in self.random.values() for column in columns_of(factor.terms))
        return tuple(dict.fromkeys([*self.fixed_columns, *terms]))

    def parameters_with(self, means: tuple[str, ...]) -> Parameters:
        """All parameters, given those of the fixed part: standard deviations and then correlations follow."""
        check_apart(
            {
                name: [*(() if factor.sd is not None else factor.sd_names(None)), *correlations(factor).values()]
                for name, factor in self.random.items()
            }
        )
        slots: list[tuple[str, Domain]] = [(name, REAL) for name in means]
        slots += [(name, SD) for factor in self.random.values() for name in factor.sd_names(None)]
        slots += [(name, CORRELATION) for factor in self.random.values() for name in correlations(factor).values()]
        return Parameters.build(slots, self.fixed)

    def known_parameters(self) -> Parameters | None:
        """See `saem.families.model.Model.known_parameters`."""
        return None if isinstance(self.predictor, str) else self.parameters_with(tuple(self.predictor))

    def equations(self) -> list[str]:
        """See `saem.families.model.Model.equations`."""
        from saem.expressions.latex import word
        from saem.families.designed_latex import fixed_sum, random_lines, random_sum, summed

        mean = r"\lambda" if self.outcome.link == "log" else "p"
        trials = "" if self.outcome.trials is None else word(str(self.outcome.trials)) + ", "
        law = rf"{word(self.response)} &\sim {word(self.outcome.distribution)}\left({trials}{mean}\right)"
        parts = [*fixed_sum(self), *(part for each in self.random.values() for part in random_sum(self, each))]
        lines = summed(rf"\operatorname{{{self.outcome.link}}} {mean}", parts)
        return [law, *lines, *(line for factor in self.random.values() for line in random_lines(factor))]


def correlations(factor: GroupingFactor) -> dict[tuple[int, int], str]:
    """The names of the correlations of a factor's terms, by their positions."""
    terms = list(factor.terms)
    if factor.covariance != "full":
        return {}
    return {(i, j): factor.corr_name(terms[i], terms[j], None) for j in range(len(terms)) for i in range(j)}
