"""Pure types and rules, in rooms that stand on one another. There is no I/O, no clock and no randomness, so that
workflows may use all of it."""
