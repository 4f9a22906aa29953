"""What a fit returns: a frozen `Fit`, with all that can be done with it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saem.fitting import handed
from saem.fitting.record import Record

if TYPE_CHECKING:
    from saem.fitting.progress import Callback
    from saem.stopping import Target


class Fit(Record):
    """A fitted model. It is not changed by what is done with it: arrays are read-only, inference returns new objects.

    Of a fit by "bayes", `values` are posterior means, `covariance` is that of the posterior, `mcse` are Monte Carlo
    errors of the means, intervals are quantiles of the draws, and `loglik` is that where the parameters that have a
    prior are at their means, with what the constraints determine computed from them. (Means of draws do not satisfy a
    curved constraint: `constraint_residuals` are by how much. Every draw does.)

    Its fields are those of its parts, whose classes describe them (`saem.fitting.parts`): `Origin`, what was fitted, by
    which method; `Estimate`, what was estimated; `Sample`, the rows it was made of; `Course`, the way to the estimate.
    """

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"a fit is not changed: make another by dataclasses.replace(fit, {name}=...)")

    def summary(self, t_tests: bool = False) -> str:
        """The fit as a plain-text table for people.

        Parameters
        ----------
        t_tests : bool
            Also test the means, with Satterthwaite's degrees of freedom (see `saem.t_tests`).
        """
        from saem.fitting.summary import summary

        return summary(self, handed.t_tests(self) if t_tests else None)

    def _repr_html_(self) -> str:
        """For notebooks: the summary."""
        from saem.fitting.summary import summary_parts
        from saem.system.markup import html

        title, *parts = summary_parts(self)
        return html(str(title), parts)

    def save(self, folder: str | Path) -> None:
        """Write the fit to a folder, without pickle; `saem.load(folder)` reads it back."""
        from saem.fitting.storage.saving import save

        save(self, folder)

    def resume(
        self,
        target: Target | None = None,
        *,
        callback: Callback | None = None,
        method: Any = None,
        threads: int = 1,
    ) -> Fit:
        """Go on to a smaller Monte Carlo error; also with a fit that was saved, in another process.

        The result is bit for bit what `saem.fit` with this target would have given at once, but for the seconds.

        Parameters
        ----------
        target : Target, optional
            Such as ``saem.Target(mcse=0.01)``; that of the fit, which was interrupted, if omitted. Its budgets count
            from the start of the fit. An error that is larger than the one reached changes nothing.
        callback : callable, optional
            As in `saem.fit`.
        method : method object, optional
            The method, where it is not one of this package and the fit was loaded from a file.
        threads : int
            As in `saem.fit`; it need not be the number that the fit was begun with.

        Returns
        -------
        Fit
            This one is left as it is.

        Raises
        ------
        ModelError
            When there is nothing to go on from.
        """
        from saem.fitting.kept import hand_on
        from saem.fitting.resuming import resume

        found = resume(self, target, callback=callback, method=method, threads=threads)
        again = Fit.of(found)
        hand_on(found, again)
        return again

    def to_arviz(self) -> Any:
        """The draws of a fit by "bayes" as ArviZ has them.

        Returns
        -------
        arviz.InferenceData
            With the groups `posterior`, `sample_stats` (`lp`, `diverging`, `energy`, ..), and `observed_data` (the
            response) where the table is there. In `posterior` is a variable for every parameter; where random effects
            were drawn, also `random_effects` with the dimensions `cluster` (labels) and `term`, and of a nonlinear
            model a variable for every individual parameter by its own name, with the dimension `cluster` (those whose
            median is the same in all rows of a cluster). Where the draws of random effects were not kept, because they
            would take more than 64 megabytes, the attribute `random_effects` says so.

        Raises
        ------
        ModelError
            When the fit has no draws, or ArviZ is not installed.
        """
        from saem.fitting.arviz import to_arviz

        return to_arviz(self)


def load(folder: str | Path) -> Fit:
    """Read a fit that `Fit.save` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder that was given to `save`. It may come from anybody: nothing in it is run, and sizes are bounded.

    Raises
    ------
    StorageError
        If the folder holds no fit, a fit that is not whole or was changed, or one of a newer format.
    """
    from saem.fitting.storage.loading import read

    return Fit.of(read(Path(folder)))
