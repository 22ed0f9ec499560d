"""Activities, grouped by the process that runs them. Each is a method of a class that takes ports, wired in a
bootstrap."""
