"""Pure types and rules: no I/O, no clock, no randomness, so that workflows may use all of it."""
