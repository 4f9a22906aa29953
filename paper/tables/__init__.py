"""One module for each table: `STUDIES`, the names of the studies it shows, and `table(digests) -> str`, in LaTeX."""
