"""What ``[outcome]`` may say: a distribution with its arguments, censoring, or a log-density of one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import field_validator, model_validator

from saem.errors import ModelError, listing, nearest
from saem.families.nonlinear.correlation import Correlation, CorrelationText
from saem.families.nonlinear.distributions import DISTRIBUTIONS, OWN, Distribution
from saem.specification.part import Part

CORRELATED = ("normal", "lognormal")
ARGUMENTS = tuple(dict.fromkeys(name for each in DISTRIBUTIONS.values() for name in each.arguments))


class Outcome(Part):
    """The law of the response of a row, given the individual parameters of its cluster.

    Parameters
    ----------
    distribution : str, optional
        One of `saem.families.nonlinear.distributions.DISTRIBUTIONS`; left out with `log_density`.
    mean, sd, median, df, probability, rate, shape, scale, predictor : str or number, optional
        Those of the distribution's arguments that it has: expressions of individual and population parameters, of
        columns, and of each other. `mean` may stand beside `log_density`, for predictions.
    cuts : sequence of str, optional
        Of an ordinal outcome, in increasing order.
    trials : str or int, optional
        Of a binomial outcome: a column, or one number.
    event : str, optional
        Column that is 1 where the response is the time of an event, and 0 where it ended without one.
    lower, upper : str or number, optional
        Columns or numbers: the response is only known to be beyond where it is at them or beyond.
    interval : pair of str, optional
        Columns between which the response lies; where both are equal it is what it is.
    correlation : str, optional
        Of the residuals of a cluster, in normal outcomes, or of their logarithms in log-normal ones: ``"ar1(phi)"`` by
        the order of rows, ``"ar1(phi, time)"`` with whole numbers, gaps allowed; ``"exponential(range, time)"``,
        correlations ``exp(-gap / range)``; ``"compound(rho)"``, all alike, for clusters of few rows. Those of different
        occasions are independent. Predictions do not use that new rows are correlated with observed ones.
    log_density : str, optional
        Of a row, with every constant.
    """

    distribution: str | None = None
    mean: str | None = None
    sd: str | None = None
    median: str | None = None
    df: str | None = None
    probability: str | None = None
    rate: str | None = None
    shape: str | None = None
    scale: str | None = None
    predictor: str | None = None
    cuts: tuple[str, ...] | None = None
    trials: str | int | None = None
    event: str | None = None
    lower: str | float | None = None
    upper: str | float | None = None
    interval: tuple[str, str] | None = None
    correlation: CorrelationText | None = None
    log_density: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        unknown = [str(key) for key in data if key not in cls.model_fields]
        if unknown:
            raise ModelError(
                f"there is no key {unknown[0]!r:.60}{nearest(unknown[0], cls.model_fields)}; the keys are "
                f"{', '.join(cls.model_fields)}"
            )
        return data

    @field_validator(*ARGUMENTS, "log_density", mode="before")
    @classmethod
    def _number_or_text(cls, value: Any) -> Any:
        return _text(value)

    @field_validator("cuts", mode="before")
    @classmethod
    def _check_cuts(cls, cuts: Any) -> Any:
        if cuts is None:
            return None
        if not isinstance(cuts, list | tuple) or not cuts:
            raise ModelError(f"must be a list of one or more parameters, as in ['c1', 'c2']; got {cuts!r:.60}")
        return tuple(_text(cut) for cut in cuts)

    @field_validator("trials", mode="before")
    @classmethod
    def _check_trials(cls, trials: Any) -> Any:
        if isinstance(trials, bool) or not isinstance(trials, str | int | None) or trials == "":
            raise ModelError(f"must be the name of a column, or a whole number; got {trials!r:.60}")
        if isinstance(trials, int) and trials < 1:
            raise ModelError(f"must be 1 or larger; got {trials}")
        return trials

    @field_validator("event", mode="before")
    @classmethod
    def _check_event(cls, event: Any) -> Any:
        if event is not None and (not isinstance(event, str) or not event):
            raise ModelError(f"must be the name of a column; got {event!r:.60}")
        return event

    @field_validator("lower", "upper", mode="before")
    @classmethod
    def _check_limit(cls, limit: Any) -> Any:
        is_number = isinstance(limit, int | float) and not isinstance(limit, bool) and math.isfinite(limit)
        if limit is not None and not is_number and (not isinstance(limit, str) or not limit):
            raise ModelError(f"must be the name of a column, or a number; got {limit!r:.60}")
        return limit

    @field_validator("interval", mode="before")
    @classmethod
    def _check_interval(cls, interval: Any) -> Any:
        if interval is None:
            return None
        named = isinstance(interval, list | tuple) and all(isinstance(end, str) and end for end in interval)
        if not named or len(interval) != 2 or interval[0] == interval[1]:
            raise ModelError(f"must be two columns, ['low', 'high']; got {interval!r:.60}")
        return tuple(interval)

    @model_validator(mode="after")
    def _check_together(self) -> Outcome:
        problems = self._own_problems() if self.log_density is not None else self._problems()
        if problems:
            raise ModelError("; ".join(problems), problems)
        return self

    def _own_problems(self) -> list[str]:
        """What is wrong beside a log-density of one's own."""
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        surplus = [key for key in given if key not in ("log_density", "mean")]
        if surplus:
            return [f"log_density says all of the outcome (mean alone may stand beside it); remove {listing(surplus)}"]
        return []

    def _problems(self) -> list[str]:
        """What is wrong with a distribution and what stands beside it."""
        name, known = self.distribution, ", ".join(DISTRIBUTIONS)
        if name is None:
            return [f"the key 'distribution' is missing (or log_density); the distributions are {known}"]
        if name not in DISTRIBUTIONS:
            return [f"there is no distribution {name!r:.60}{nearest(name, DISTRIBUTIONS)}; there are {known}"]
        about = DISTRIBUTIONS[name]
        found = []
        for key in (*ARGUMENTS, "cuts"):
            wanted = key in about.arguments or (key == "cuts" and about.has_cuts)
            if wanted and getattr(self, key) is None:
                found.append(f"{name} needs {key}; {about.signature}")
            if not wanted and getattr(self, key) is not None:
                found.append(f"{key} is no argument of {name}; {about.signature}")
        if (self.trials is not None) != about.has_trials:
            found.append(
                "a binomial outcome needs trials = 'column', or a number"
                if about.has_trials
                else f"trials are for binomial outcomes; this one is {name}"
            )
        if self.event is not None and not about.is_time:
            times = [other for other, each in DISTRIBUTIONS.items() if each.is_time]
            found.append(f"event is for times to an event ({', '.join(times)}); this outcome is {name}")
        if self.correlation is not None and name not in CORRELATED:
            found.append(f"correlation is for {' and '.join(CORRELATED)} outcomes; this one is {name}")
        return found + self._censoring_problems(about)

    def _censoring_problems(self, about: Distribution) -> list[str]:
        censored = [key for key in ("lower", "upper", "interval") if getattr(self, key) is not None]
        if not censored:
            return []
        possible = [other for other, each in DISTRIBUTIONS.items() if each.can_be_censored]
        if not about.can_be_censored:
            advice = "; right-censored times have event = 'column'" if about.is_time else ""
            return [
                f"{listing(censored)}: censoring is for {' and '.join(possible)} outcomes; this one is "
                f"{self.distribution}{advice}"
            ]
        if self.correlation is not None:
            return [
                f"correlation and {listing(censored)} do not go together: what is before a censored row is not known"
            ]
        if self.event is not None:
            return [f"event and {listing(censored)} both say what is censored; keep one"]
        if self.interval is not None and len(censored) > 1:
            return ["interval says between what the response lies; remove lower and upper"]
        return []

    @property
    def about(self) -> Distribution:
        """The distribution."""
        return DISTRIBUTIONS[self.distribution] if self.distribution is not None else OWN

    @property
    def texts(self) -> dict[str, str]:
        """The expressions by their keys, the distribution's arguments first."""
        keys = (*(self.about.arguments or ("mean",)), "log_density")
        found = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        return found | {cut_name(k): text for k, text in enumerate(self.cuts or (), start=1)}

    @cached_property
    def correlated(self) -> Correlation | None:
        """The correlation, parsed."""
        return None if self.correlation is None else Correlation.read(self.correlation)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that keys name."""
        time = None if self.correlated is None else self.correlated.time
        found = (self.trials, self.event, self.lower, self.upper, *(self.interval or ()), time)
        return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))


def cut_name(k: int) -> str:
    """The key of the k-th cut, from 1."""
    return f"cuts[{k}]"


def _text(value: Any) -> Any:
    """A number stands for itself."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return value
