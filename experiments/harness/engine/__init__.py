"""Where the replicates of a study are run.

An engine takes tasks as it needs them and yields their results as they are done, in batches. Whatever a replicate does
to its process, the engine goes on, and only the method that did it is blamed.
"""
