"""What can be trusted on real sites? `python -m experiments.sites DATA [--output FOLDER]`."""
