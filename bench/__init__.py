"""The benchmark: Tidings beside what a user would pick instead, on this machine, with one load client.

`make bench` runs `bench.run`. Nothing that is served in production imports it. It starts every server itself,
talks to loopback only, and ends only what it started. How to read it: docs/benchmark.md.
"""
