"""Families of models: what the house knows of them, and the folder of each.

`family` says what a family supplies, `contract` what its compiled functions are. A new family is one folder.
"""

from __future__ import annotations

from saem.families.discovery import families, family_named
from saem.families.family import Family
from saem.families.model import Model
from saem.families.posing import arrange, coordinates_of, family_of, pose, with_any_response

__all__ = [
    "Family",
    "Model",
    "arrange",
    "coordinates_of",
    "families",
    "family_named",
    "family_of",
    "pose",
    "with_any_response",
]
