"""What `fit.json` may hold: its keys, their types and their sizes, checked at once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from saem.errors import ModelError, StorageError
from saem.specification.domains import domain_named
from saem.stopping import Status

FORMAT = "saem-fit"
VERSION = 1
FIT_FILE = "fit.json"
MAX_BYTES = 16 * 2**20
METHOD = "[A-Za-z0-9_]{1,64}"  # it becomes the name of a folder
LARGEST = 10**12  # of what is counted
MOST = 100_000  # names and texts
SHOWN = 3  # of what is wrong

_SEAL = "content_sha256"


def number(value: float) -> float | str:
    """JSON knows no nan and no infinity: these are written as text, which `float` reads."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _read_number(value: Any) -> Any:
    return float(value) if value in ("nan", "inf", "-inf") else value


def _refuse_nonfinite(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


_Number = Annotated[float, BeforeValidator(_read_number)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=LARGEST)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
_Names = Annotated[tuple[str, ...], Field(max_length=MOST)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Texts = Annotated[dict[str, str], Field(max_length=MOST)]


def _known_domain(name: str) -> str:
    try:
        domain_named(name)
    except ModelError as error:
        raise ValueError(str(error)) from None
    return name


_Domain = Annotated[str, Field(max_length=100), AfterValidator(_known_domain)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ContinuationContent(_Part):
    """What a fit goes on from, but for the arrays."""

    method: Any
    numbers: dict[str, _Number]
    texts: _Texts
    table_sha256: _Digest | None = None  # an earlier saem had it here


class PosteriorContent(_Part):
    """A posterior, but for its draws."""

    priors: _Texts
    determined: _Texts
    tune: _Count
    target_accept: _Finite
    implied: dict[str, tuple[_Number, _Number]] = Field(default_factory=dict)


class FitContent(_Part):
    """The whole file. What has a default was not saved by an earlier saem."""

    format: Literal["saem-fit"]
    version: Literal[1]
    method: Annotated[str, Field(pattern=f"^{METHOD}$")]
    status: Status
    message: str
    estimates: Annotated[dict[_Name, _Number], Field(min_length=1, max_length=MOST)]
    parameter_kinds: Annotated[tuple[_Domain, ...], Field(max_length=MOST)]
    loglik: _Number
    loglik_mcse: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0  # an earlier saem had none
    seconds: Annotated[_Finite, Field(ge=0.0)]
    gradient_norm: _Number
    n_rows: Annotated[_Count, Field(ge=1)]
    n_clusters: Annotated[_Count, Field(ge=1)]
    n_free: Annotated[int, Field(ge=-MOST, le=MOST)]
    burn_in: _Count
    averaging_from: _Count
    seed: Annotated[int, Field(ge=0)]
    at_boundary: _Names
    constraint_names: _Names
    term_names: _Names
    warnings: _Names
    group_levels: tuple[str, ...]
    cluster_columns: _Names
    drawn: Annotated[int, Field(ge=0)] = 0
    augmentation: str = ""
    provenance: _Texts
    model: Annotated[str, Field(max_length=2**20)]
    formula_state: dict[str, Any] = Field(default_factory=dict)
    unclear: _Texts = Field(default_factory=dict)
    table_sha256: _Digest | None = None
    arrays_sha256: _Digest
    continuation: ContinuationContent | None = None
    posterior: PosteriorContent | None = None
    content_sha256: str | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> FitContent:
        names = self.estimates.keys()
        for key, given in (("at_boundary", self.at_boundary), ("unclear", self.unclear)):
            unknown = [name for name in given if name not in names]
            if unknown:
                raise ValueError(f"{key} names {unknown[0]!r}, which is no parameter")
        if len(self.parameter_kinds) != len(names):
            raise ValueError(f"there are {len(names)} estimates and {len(self.parameter_kinds)} parameter_kinds")
        # variance groups may share a name: those of clusters with different numbers of occasions
        for key in ("term_names", "cluster_columns", "constraint_names"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise ValueError(f"{key} has a name twice")
        return self

    @property
    def table_digest(self) -> str | None:
        """Of the table, if one was saved."""
        return self.table_sha256 or (None if self.continuation is None else self.continuation.table_sha256)


def sealed(content: Mapping[str, Any]) -> str:
    """The text of `fit.json`, with a hash of all that it holds as its last entry."""
    return json.dumps({**content, _SEAL: _hash(content)}, indent=1, allow_nan=False) + "\n"


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in content.items() if key != _SEAL}, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_content(data: bytes, source: str) -> FitContent:
    """Read and check the content of `fit.json`.

    Parameters
    ----------
    data : bytes
    source : str
        Where it came from, for messages.

    Raises
    ------
    StorageError
        When it is no saved fit, was changed, or does not hold what a fit must.
    """
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse_nonfinite, object_pairs_hook=_once)
    except RecursionError:
        raise StorageError(f"{source} cannot be read as JSON: brackets are nested too deeply") from None
    except ValueError as error:
        raise StorageError(f"{source} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StorageError(f"{source} is not a saved fit: its 'format' must be {FORMAT!r}")
    if content.get("version") != VERSION:
        raise StorageError(
            f"{source} has format version {content.get('version')!r:.40}, and this saem reads version {VERSION}; "
            "read it with the saem that wrote it (its version is under 'provenance'), or fit again"
        )
    if _SEAL in content and content[_SEAL] != _hash(content):
        raise StorageError(
            f"{source} was changed since it was written: it does not have the hash that it names ({_SEAL}); "
            "get the file anew, or fit again"
        )
    try:
        return FitContent.model_validate_json(json.dumps(content))  # by JSON, in which a list may stand for a tuple
    except ValidationError as error:
        found = error.errors(include_url=False)
        words = [_sentence(item) for item in found]
        more = f"; and {len(words) - SHOWN} more mistakes" if len(words) > SHOWN else ""
        raise StorageError(
            f"{source} was changed by hand, or is not a saved fit: {'; '.join(words[:SHOWN])}{more}"
        ) from None
    except RecursionError:
        raise StorageError(f"{source} was changed by hand: brackets are nested too deeply") from None


def _sentence(item: Any) -> str:
    where = ".".join(map(str, item["loc"]))
    return f"{where}: {item['msg']}; got {item['input']!r:.40}" if where else str(item["msg"])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key occurs twice")
    return content
