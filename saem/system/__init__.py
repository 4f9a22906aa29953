"""What everything else stands on: cache, compiler, linear algebra, random streams, text and files."""
