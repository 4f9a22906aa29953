"""The random effects of a model, as families with normal random effects have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from saem.errors import ModelError, listing
from saem.specification.part import Part, automatic_name, known_levels, row_table, sd_table

MAX_TERMS = 20


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
        return known_levels(self.by, self.sd)

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
