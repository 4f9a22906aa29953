"""Studies of the estimators on simulated data; `python -m experiments.demo` is the first."""
