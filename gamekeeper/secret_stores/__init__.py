"""Stores of others that keep the values of secrets. Each reads and never writes, and tells what is wrong in our own
words: those of another store may hold anything."""
