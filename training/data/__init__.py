"""Data sets: described by a line (`spec`), opened (`open`), and drawn (`avatars`) or read from files (`files`)."""
