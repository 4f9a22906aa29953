"""The studies that come with the project, a TOML and a Python file each, and what they share."""
