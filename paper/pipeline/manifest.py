"""What the paper is made of: its studies with their replicates, its figures and tables, and the modules that draw them.

`manifest.toml` says what is shown, and how much of each study the committed results have; which studies a figure or a
table shows is said by its module alone, in `STUDIES`.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from paper.real_data import NAME as SITES
from saem.errors import ModelError, listing

PAPER = Path(__file__).parents[1]
RESULTS = PAPER / "results"  # committed
BUILD = PAPER / "build"
TEXT = PAPER / "text"
KINDS = ("figures", "tables", "numbers")
Kind = Literal["figures", "tables", "numbers"]
Phrase = Annotated[str, Field(min_length=10)]


class Part(BaseModel):
    """Frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OfStudy(Part):
    """A study of the paper.

    Parameters
    ----------
    replicates : int
        Data sets of each cell in the committed results, the least over the cells.
    quick : int, optional
        Data sets of each cell in a quick rerun; those of the study's quick form if omitted.
    """

    replicates: Annotated[int, Field(ge=1)]
    quick: Annotated[int | None, Field(ge=1)] = None


class Draws(Part):
    """Bootstrap samples of each test, in full and in quick reruns.

    Parameters
    ----------
    full, quick : int
    """

    full: Annotated[int, Field(ge=1)]
    quick: Annotated[int, Field(ge=1)]


class Sites(Part):
    """The real sites, which `python -m experiments.sites` examines.

    Parameters
    ----------
    what : str
        In a phrase.
    data : str
        Where the data are looked for, from the root of the project.
    draws : Draws
    """

    what: Phrase
    data: str
    draws: Draws


class Shown(Part):
    """A figure or a table.

    Parameters
    ----------
    what : str
        What it shows, in a phrase.
    appendix : bool
        Whether it is about the paper itself, and so is not listed among what the results give.
    """

    what: Phrase
    appendix: bool = False


class Manifest(Part):
    """The paper.

    Parameters
    ----------
    studies : dict of str to OfStudy
        In the order of the text.
    sites : Sites, optional
        A paper without it has no real data.
    figures, tables : dict of str to Shown
        By the name of the module, in the order of the text.
    """

    studies: dict[str, OfStudy]
    sites: Sites | None = None
    figures: dict[str, Shown] = Field(default_factory=dict)
    tables: dict[str, Shown] = Field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all results: of studies, then of the real sites."""
        return (*self.studies, *([SITES] if self.sites else []))

    @field_validator("studies")
    @classmethod
    def _no_study_is_named_as_the_sites(cls, studies: dict[str, OfStudy]) -> dict[str, OfStudy]:
        if SITES in studies:
            raise ValueError(f"{SITES!r} is no study: it has the table [{SITES}]")
        return studies

    def shown(self, appendix: bool = False) -> list[tuple[Kind, str, Shown]]:
        """Figures, then tables, as kind, name and what it is; without those of the appendix unless they are wanted."""
        both: list[tuple[Kind, Mapping[str, Shown]]] = [("figures", self.figures), ("tables", self.tables)]
        return [(kind, name, own) for kind, some in both for name, own in some.items() if appendix or not own.appendix]


@cache
def read_manifest(path: Path = PAPER / "manifest.toml") -> Manifest:
    """From its file.

    Raises
    ------
    ModelError
        Listing all mistakes with their paths.
    """
    try:
        found = Manifest(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        known = f"there is no such table; there are {listing([f'[{name}]' for name in Manifest.model_fields])}"
        problems = [
            f"{'.'.join(map(str, item['loc']))}: "
            + (known if item["type"] == "extra_forbidden" and len(item["loc"]) == 1 else item["msg"])
            for item in error.errors(include_url=False)
        ]
        raise ModelError(f"{path} is not valid:\n" + "\n".join(f"  - {line}" for line in problems), problems) from None
    return found


def label_of(kind: Kind, name: str) -> str:
    """`fig:NAME` or `tab:NAME`: the label of a figure or a table in the text."""
    return f"{'fig' if kind == 'figures' else 'tab'}:{name}"


class Broken:
    """In place of a module that cannot be imported: whoever wants something of it gets the error, others do not.

    Parameters
    ----------
    error : Exception
        Of the import.
    """

    STUDIES: tuple[str, ...] = ()

    def __init__(self, error: Exception) -> None:
        self.error = error

    def draw(self, digests: object) -> Any:
        """The error."""
        raise self.error

    table = numbers = draw


def _imported(kind: Kind, name: str) -> ModuleType | Broken:
    try:
        return importlib.import_module(f"paper.{kind}.{name}")
    except Exception as error:
        return Broken(error)


def modules(kind: Kind) -> dict[str, ModuleType | Broken]:
    """The modules of `paper.figures`, `paper.tables` or `paper.numbers` by name; figures and tables as in the manifest.

    For one that cannot be imported there is a `Broken` one.

    Raises
    ------
    ModelError
        When a module lacks its function or `STUDIES`.
    """
    names = sorted(path.stem for path in (PAPER / kind).glob("*.py") if not path.stem.startswith("_"))
    order = list(getattr(read_manifest(), kind, {}))
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    function = {"figures": "draw", "tables": "table", "numbers": "numbers"}[kind]
    needed = (function,) if kind == "numbers" else (function, "STUDIES")
    found = {name: _imported(kind, name) for name in names}
    for name, module in found.items():
        missing = [part for part in needed if not hasattr(module, part)]
        if missing:
            raise ModelError(f"paper/{kind}/{name}.py must define {' and '.join(needed)}; it lacks {listing(missing)}")
    return found


def problems_of_manifest(cited: Collection[str] = ()) -> list[str]:
    """Where manifest, modules and studies do not go together: one sentence each.

    Parameters
    ----------
    cited : collection of str
        Studies that numbers come from.
    """
    from experiments.harness.study import STUDIES as FOLDER

    manifest, problems = read_manifest(), []
    known = {path.stem for path in FOLDER.glob("*.toml")}
    problems += [f"manifest.toml: there is no study {name!r}" for name in manifest.studies if name not in known]
    used = set(cited)
    for kind, listed in (("figures", manifest.figures), ("tables", manifest.tables)):
        found = modules(kind)
        problems += [f"manifest.toml: [{kind}.{name}] has no module" for name in listed if name not in found]
        problems += [f"paper/{kind}/{name}.py is not in manifest.toml" for name in found if name not in listed]
        for name, module in found.items():
            strange = [study for study in module.STUDIES if study not in manifest.sources]
            problems += [f"paper/{kind}/{name}.py: {study!r} is not in manifest.toml" for study in strange]
            if name in listed and not listed[name].appendix:
                used |= set(module.STUDIES)
    problems += [f"manifest.toml: nothing shows {name!r}" for name in manifest.sources if name not in used]
    return problems


def command_of(source: str, manifest: Manifest | None = None) -> str:
    """The command that makes the results of a study or of the real sites anew."""
    sites = (manifest or read_manifest()).sites
    data = f" --data {sites.data}" if source == SITES and sites is not None else ""
    return f"python -m paper run --studies {source}{data}"


def file_of(source: str) -> str:
    """The file of a study, or the program that examines the real sites."""
    return "experiments/programs/sites/__main__.py" if source == SITES else f"experiments/studies/{source}.toml"
