"""Speed and memory, as ratios within one run: `python -m benchmarks` prints the table.

Each module with a function `measure` is a benchmark and is found by itself. `measure` yields `Row` objects.
"""
