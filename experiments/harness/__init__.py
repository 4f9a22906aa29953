"""The harness of simulation studies: what a study is, how it is run and kept, and what is made of its results."""
