"""A fit in a folder: `arrays.npz` (no pickle) and `fit.json` (readable, with checksums).

A fit that can go on has its table beside them, in `table.parquet`. A folder may come from anybody: what it holds is
checked once, whole, when it is loaded.
"""
