"""What ``[random]`` may say of the random effects of a nonlinear model: correlated blocks and variance groups."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from saem.errors import ExpressionError, ModelError, listing
from saem.expressions.columns import level_text
from saem.expressions.grammar import check_name
from saem.specification.part import Part

Name = Annotated[str, Field(min_length=1)]


class Grouping(Part):
    """Blocks of correlated random effects, and standard deviations that differ between groups of clusters.

    Parameters
    ----------
    correlated : sequence of sequence of str
        Individual parameters whose random effects have a full correlation matrix (``corr_V_CL``), block by block.
    by : str, optional
        Column whose levels are the variance groups.
    sd : dict of str to dict
        SD as a law names it -> level of `by` -> the parameter that it is there. All name the same levels. The
        correlations of a block in which there is such an SD differ between the groups, too (``corr_V_CL_F``).
    """

    correlated: tuple[tuple[Name, ...], ...] = ()
    by: str | None = Field(default=None, min_length=1)
    sd: dict[str, dict[str, str]] = Field(default_factory=dict)

    @field_validator("correlated")
    @classmethod
    def _check_blocks(cls, blocks: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        names = [name for block in blocks for name in block]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ModelError(f"each individual parameter may be in one block, once; {listing(twice)} is there twice")
        if any(len(block) < 2 for block in blocks):
            raise ModelError("each block must name two or more individual parameters, as in [['V', 'CL']]")
        return blocks

    @field_validator("sd", mode="before")
    @classmethod
    def _check_levels(cls, sd: object) -> object:
        """Levels may be numbers."""
        if isinstance(sd, dict):
            return {
                str(name): {level_text(level): value for level, value in table.items()}
                if isinstance(table, dict)
                else table
                for name, table in sd.items()
            }
        return sd

    @model_validator(mode="after")
    def _check_groups(self) -> Grouping:
        problems = []
        if self.by is None and self.sd:
            problems.append(
                f"sd has levels for {listing(self.sd)}, but nothing says of which column; add by = 'column'"
            )
        if self.by is not None and not self.sd:
            problems.append(
                f"by = {self.by!r} makes variance groups, but no SD differs between them; add for instance "
                "sd.omega_V = { level = 'name', .. }, or remove by"
            )
        for name, table in self.sd.items():
            levels = next(iter(self.sd.values()))
            if set(table) != set(levels) or len(table) < 2:
                problems.append(
                    f"sd.{name} must name a parameter for each of two or more levels of {self.by!r}, the same for all "
                    f"SDs; got {listing(table)}" + (f" and {listing(levels)}" if set(table) != set(levels) else "")
                )
            for parameter in table.values():
                try:
                    check_name(parameter, "an SD")
                except ExpressionError as error:
                    problems.append(f"sd.{name}: {error}")
        if problems:
            raise ModelError("; ".join(problems), problems)
        return self

    @property
    def levels(self) -> tuple[str, ...]:
        """The variance groups; ``("",)`` without `by`."""
        return tuple(next(iter(self.sd.values()))) if self.sd else ("",)

    def sd_name(self, written: str, level: str) -> str:
        """The parameter that an SD is in a variance group."""
        return self.sd[written][level] if written in self.sd else written
