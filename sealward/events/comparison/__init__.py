"""Measurements and how two measurements are compared."""
