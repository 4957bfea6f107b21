"""What peers run: each in a process and virtualenv of its own; nothing imports them."""
