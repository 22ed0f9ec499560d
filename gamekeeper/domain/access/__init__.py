"""Access: the keys by which people and programs call."""
