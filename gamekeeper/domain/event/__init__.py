"""Events, the operation log, and the clock that orders them across machines. Every other room may tell events."""
