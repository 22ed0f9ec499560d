"""Builds the archive that makes a machine a node: the agent, its libraries, and a Python to run them.

It needs nothing of the target but a C library that is new enough; ``deploy/agent/install.sh`` unpacks it there.
"""
