"""From results to the document: building it, checking it, running the studies again, comparing a rerun."""
