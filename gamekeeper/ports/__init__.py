"""Protocols between the rules and the world; each method states idempotence, blocking and cancellation."""
