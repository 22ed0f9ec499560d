"""Certificates: the authority that issues them, the node's own key, and the name of a node in its certificate. No other
package imports the ``cryptography`` library; the agent loads it in a child process alone, because it is large."""
