"""Protocols between the rules and the world. Each method states idempotence, blocking and cancellation."""
