"""Alarms: rules as data, what they are judged by, and who is told of what. Pure."""
