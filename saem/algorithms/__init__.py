"""Algorithms: each takes a `saem.families.contract.Problem` and a seed and returns an `Outcome`."""
