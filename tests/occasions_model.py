"""A model with occasions, by the law of its individual parameter."""

from __future__ import annotations


def occasions(law: str = "normal") -> str:
    """The model file."""
    return f"""
family = "nonlinear"
response = "y"
cluster = "id"
occasion = "visit"
columns = ["x"]
[individual]
A = "{law}(b0, omega, occasion_sd=gamma)"
[outcome]
distribution = "normal"
mean = "A + b1 * x"
sd = "sigma"
"""
