"""Programs of their own, which are no studies: `python -m experiments.demo` is the first."""
