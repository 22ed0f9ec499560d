"""The secret values of containers, on their node. They are in memory alone."""
