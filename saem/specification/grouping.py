"""Random effects by several grouping factors, nested or crossed: ``[random.NAME]`` blocks of a model file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from saem.errors import ExpressionError, ModelError, listing
from saem.expressions.grammar import check_name
from saem.specification.part import automatic_name
from saem.specification.random_effects import RandomEffects

MAX_FACTORS = 20


class GroupingFactor(RandomEffects):
    """Random effects of each level of a grouping factor: ``theta ~ N(0, Omega)``, independent of those of others.

    Parameters
    ----------
    cluster : str or sequence of str
        Columns whose combinations are the levels of the factor.
    sd, by, terms, covariance
        As in `RandomEffects`; but the automatic names are ``sd_<factor>`` of the only term ``intercept``,
        ``sd_<factor>_<term>`` of others, and ``corr_<factor>_<a>_<b>``. With `by`, its levels must be constant within
        the levels of the factor.
    name : str
        Of the block: the factor.
    """

    cluster: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    name: str = Field(default="", exclude=True)

    @field_validator("cluster", mode="before")
    @classmethod
    def _one_or_many(cls, cluster: Any) -> Any:
        return (cluster,) if isinstance(cluster, str) else cluster

    @field_validator("cluster")
    @classmethod
    def _check_cluster(cls, cluster: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(cluster)) != len(cluster):
            raise ModelError(f"must not name a column twice; got {listing(cluster)}")
        return cluster

    def sd_names(self, level: str | None) -> tuple[str, ...]:
        """See `RandomEffects.sd_names`."""
        if self.sd is not None:
            return super().sd_names(level)
        only = tuple(self.terms) == ("intercept",)
        return tuple(automatic_name("sd", self.name, None if only else term, level) for term in self.terms)

    def corr_name(self, a: str, b: str, level: str | None) -> str:
        """See `RandomEffects.corr_name`."""
        return automatic_name("corr", self.name, a, b, level)


def has_factors(random: Any) -> bool:
    """Whether what a model file says of random effects are ``[random.NAME]`` blocks."""
    if not isinstance(random, Mapping):
        return False
    return any(
        isinstance(block, GroupingFactor) or (isinstance(block, Mapping) and "cluster" in block)
        for block in random.values()
    )


def named_factors(random: Any) -> Any:
    """Blocks that know their names, for a validator of a field ``random: dict[str, GroupingFactor]``.

    Raises
    ------
    ModelError
        Where a block has no `cluster`, or a name is none.
    """
    if not isinstance(random, Mapping):
        return random
    if len(random) > MAX_FACTORS:
        raise ModelError(f"must have at most {MAX_FACTORS} blocks; got {len(random)}")
    problems: list[str] = []
    found: dict[str, Any] = {}
    for name, block in random.items():
        try:
            check_name(str(name), "a grouping factor")
        except ExpressionError as error:
            problems.append(f"{name!s:.64}: {error}")
        if isinstance(block, GroupingFactor):
            found[name] = block.model_copy(update={"name": name})
        elif isinstance(block, Mapping) and "cluster" in block:
            found[name] = {**block, "name": name}
        else:
            problems.append(
                f"{name!s:.64}: the random effects of this model are blocks, one for each grouping factor; say "
                f"cluster = 'column' in [random.{name!s:.64}]"
            )
    if problems:
        raise ModelError("; ".join(problems), problems)
    return found


def check_apart(automatic: Mapping[str, Collection[str]]) -> None:
    """Refuse factors of which two would have one parameter, by the names that they get by themselves.

    Raises
    ------
    ModelError
    """
    owner: dict[str, str] = {}
    for factor, names in automatic.items():
        for name in sorted(names):
            if owner.setdefault(name, factor) != factor:
                raise ModelError(
                    f"the factors {owner[name]!r} and {factor!r} would both have a parameter {name!r}: give one of the "
                    "blocks another name, or name its standard deviations by sd"
                )
