"""Adapters: what other libraries already say about a task's work becomes its operation's events.

Each module is optional, imports one library, and changes nothing before its `install` or handler is used.
"""
