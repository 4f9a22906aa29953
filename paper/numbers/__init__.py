"""The numbers of the text, one module for each section: `numbers(digests)` yields `paper.shared.writing.Number`."""
