"""Data sets behind one small interface."""
