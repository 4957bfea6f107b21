"""The scenarios of the benchmark, (a) to (g), one module each: takes a plan, gives tables."""
