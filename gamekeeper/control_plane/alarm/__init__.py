"""Alarms are judged here, by one process at a time, and written with the messages that tell of them. Both the control
worker and the api read rules and mutes from here."""
