"""The activities of a step: one delivery attaches to the container of its try or runs it, and reads the outcome from
the engine."""
