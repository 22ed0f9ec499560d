"""Alarms as people see and answer them, and the rules, channels and mutes that they set."""
