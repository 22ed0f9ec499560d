"""Activities, grouped by the process that runs them: each a class that takes ports, wired in a bootstrap."""
