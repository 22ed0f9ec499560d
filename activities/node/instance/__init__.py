"""The activities by which the control plane gives a node's keeper its orders, and lines for consoles.

The keeper does the work, and goes on with it when nobody waits for it any more.
"""
