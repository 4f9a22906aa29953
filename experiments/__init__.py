"""Simulation studies of estimators: the harness, the studies that come with the project, and programs of their own."""

from .names import install

install()
