"""The records of a log, and how many of them are packed into one. It knows nothing of the writers of the lines."""
