"""Workflows of alarms: messages on their way to people."""
