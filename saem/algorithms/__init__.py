"""Algorithms: each takes a `saem.models.contract.Problem` and a seed and returns an `Outcome`."""
