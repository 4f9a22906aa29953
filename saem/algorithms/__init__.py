"""Algorithms: each takes a `saem.families.problem.Problem` and a seed and returns an `Outcome`."""
