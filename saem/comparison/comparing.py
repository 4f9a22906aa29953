"""Fit a model by several methods: at their own targets or at the same budget, with one seed or several."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from saem.algorithms.bayes.algorithm import Bayes
from saem.comparison.budget import Budget, is_limitable, judged
from saem.comparison.result import Comparison, highest
from saem.data.frames import Table, as_frame
from saem.errors import FitError, ModelError, SaemWarning
from saem.families import arrange, pose
from saem.fitting.fit import Algorithm, check_model, fit, resolve
from saem.stopping import Target
from saem.system.display import method_name
from saem.system.streams import check_seed

if TYPE_CHECKING:
    import pandas as pd

    from saem.families import Model
    from saem.fitting.result import Fit

MORE = 20  # iterations after the burn-in to warm up


def compare(
    model: Model,
    table: Table,
    methods: Sequence[str | Algorithm] | Mapping[str, str | Algorithm] = ("saem", "em", "ml"),
    seed: int = 0,
    drop_missing: bool = False,
    *,
    budget: float | None = None,
    budget_seconds: float | None = None,
    repeats: int = 1,
) -> Comparison:
    """Fit a model by several methods.

    Without a budget every method goes on until it reaches its own target. With one, every Monte Carlo method goes on
    until the budget is used up, to within an iteration, however precise it is by then; exact methods run as they are.
    The status still says whether the method's own target was reached. Independent chains share the budget. Schedules
    that cannot go on by themselves are made as long as the budget; a method that leaves much of it says so. The
    compiled code is loaded before, so that it costs no method its seconds.

    Parameters
    ----------
    model : Model
    table : DataFrame
    methods : sequence or mapping
        What `saem.fit` takes as its method. A mapping gives each a label of its own, for variants of one method:
        ``{"default": "saem", "textbook": SAEM(RobbinsMonroSchedule())}``.
    seed : int
        The same for all; each method has a random stream of its own, variants of a method the same one.
    drop_missing : bool
        As in `saem.fit`.
    budget : float, optional
        Random effects that every Monte Carlo method may draw.
    budget_seconds : float, optional
        Seconds that every Monte Carlo method may take. The results then depend on the machine.
    repeats : int
        Fits of every Monte Carlo method, with the seeds ``seed``, ``seed + 1``, and so on: see
        `Comparison.over_seeds`.

    Raises
    ------
    ModelError
        When there is no such method, or budget or repeats are not positive.
    FitError
        When none of the methods finds an estimate. A method that fails, or that the model does not admit, is listed in
        `Comparison.failures`.
    """
    labelled = with_labels(methods)
    if not isinstance(repeats, int) or repeats < 1:
        raise ModelError(f"repeats must be a whole number, 1 or larger; got {repeats!r}")
    check_seed(seed)
    limit = Budget.of(budget, budget_seconds)
    is_limited = budget is not None or budget_seconds is not None
    originals = {name: resolve(method)[0] for name, method in labelled.items()}
    posteriors = [name for name, method in originals.items() if isinstance(method, Bayes)]
    check_model(model)
    rows = as_frame(table)
    n_latent = pose(model, arrange(model, rows, drop_missing)).latent.size if is_limited else 0
    repetitions: dict[str, tuple[Fit, ...]] = {}
    failures: dict[str, str] = {}
    refused: list[str] = []
    for name, method in labelled.items():
        if name in posteriors:
            failures[name] = "a posterior has no distance to the maximum of the likelihood; fit by 'bayes' alone"
            refused.append(name)
            continue
        fits: list[Fit] = []
        for own in range(seed, seed + repeats):
            try:
                limited = (
                    limit.given_to(originals[name], n_latent)
                    if is_limited and method_name(method) != "reml"
                    else method
                )
                if is_limited and not fits:
                    warm_up(model, rows, originals[name], n_latent, drop_missing)
                fits.append(fit(model, rows, limited, own, drop_missing))
                if fits[-1].drawn == 0:  # exact: another seed changes nothing
                    break
            except ModelError as error:  # what the others find is not lost
                failures[name] = str(error)
                refused.append(name)
                break
            except FitError as error:
                failures[f"{name}, seed {own}" if repeats > 1 else name] = str(error)
        if fits:
            repetitions[name] = tuple(fits)
    if not repetitions:
        raise FitError(f"none of the methods {', '.join(labelled)} found an estimate; {next(iter(failures.values()))}")
    if is_limited:
        maximum = highest([each for fits in repetitions.values() for each in fits])
        repetitions = {
            name: tuple(judged(each, maximum - each.loglik, originals[name], limit) for each in fits)
            for name, fits in repetitions.items()
        }
    first = {name: fits[0] for name, fits in repetitions.items()}
    reference = max(
        first, key=lambda name: (first[name].method == "ml", first[name].method != "reml", first[name].loglik)
    )
    return Comparison(repetitions, failures, tuple(refused), reference)


def with_labels(methods: Sequence[str | Algorithm] | Mapping[str, str | Algorithm]) -> dict[str, str | Algorithm]:
    """The methods by their labels, or by their names.

    Raises
    ------
    ModelError
        When there are none, or two have the same name.
    """
    if isinstance(methods, Mapping):
        if not methods or not all(isinstance(label, str) and label for label in methods):
            raise ModelError(f"methods by label must be one or several, the labels text; got {methods!r:.60}")
        return dict(methods)
    names = [method_name(method) for method in methods]
    if not names or len(set(names)) < len(names):
        raise ModelError(
            f"methods must be one or several with different names; got {', '.join(names) or 'none'}. Give variants of "
            "a method labels: {'default': 'saem', 'long': SAEM(...)}"
        )
    return dict(zip(names, methods, strict=True))


def warm_up(model: Model, table: pd.DataFrame, method: Algorithm, n_latent: int, drop_missing: bool) -> None:
    """Run a Monte Carlo method to shortly after its burn-in, so that the compiled code is there before it counts."""
    if not is_limitable(method):
        return
    inner: Any = getattr(method, "method", method)
    draws = inner.schedule.steps(n_latent).draws[: inner.schedule.burn_in + MORE]
    easy = Target(mcse=1e9, deficit=1e9, max_draws=int(draws.sum()) * max(1, n_latent))
    short: Any = replace(inner, target=easy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SaemWarning)  # the fit itself will say them
        fit(model, table, short, 0, drop_missing)
