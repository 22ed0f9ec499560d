"""The keeper of the node's instances: it takes orders, keeps them on disk, and keeps the processes up by them.

It goes on through its own death, the engine's and the machine's, and while the control plane is away.
"""
