"""The web console's files, which ``make web`` builds into ``built``, and the answers that carry them to a browser."""
