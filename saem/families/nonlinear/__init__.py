"""Nonlinear mixed-effects models: individual parameters with laws, and any outcome whose density can be written."""
