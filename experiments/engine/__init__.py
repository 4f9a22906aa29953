"""Where the replicates of a study are run. Each engine yields tasks with their records as they are done."""
