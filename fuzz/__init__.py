"""Noise for the edges: generated requests, messages and texts that must be answered or refused, never break anything.

A habit beside the tests (``make fuzz``): minutes in CI with a fixed seed, hours by hand with another.
"""
