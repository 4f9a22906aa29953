"""One module for each figure: `STUDIES`, the names of the studies it shows, and `draw(digests) -> Figure`."""
