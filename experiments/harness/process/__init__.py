"""Processes of our own in which the code of a user runs, with limits, so that it can harm nobody else."""
