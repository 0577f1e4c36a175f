"""Measurements side by side, and what they printed."""
