"""From a model and a table to a fit: running, concluding, printing, storing, going on."""
