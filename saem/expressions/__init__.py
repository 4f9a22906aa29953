"""The small language of model files: safe parsing, evaluation on rows, exact derivatives. Never `eval`."""
