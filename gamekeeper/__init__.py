"""The shared package of Gamekeeper. Its name is the one that must be unique among the top-level folders."""

__version__ = "0.1.0"
