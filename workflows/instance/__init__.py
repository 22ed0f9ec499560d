"""The workflow of an instance: one for each, as long as the instance is there. It does one action at a time."""
