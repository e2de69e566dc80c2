"""Perfusion Studio: teach a picture model one thing, and say how much of it you want."""
