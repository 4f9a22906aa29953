"""What figures, tables and numbers have in common: how they look, how numbers are written, which cells they show."""
