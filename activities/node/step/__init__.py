"""The activities of a step. One delivery attaches to the container of its try or runs it, and reads the outcome from
the engine."""
