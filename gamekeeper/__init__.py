"""The shared package of Gamekeeper: the one name that must be unique among the top-level folders."""

__version__ = "0.1.0"
