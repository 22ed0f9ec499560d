"""A node: its modes and status, inventory, conditions, metrics and policy. It knows the language, because a policy
judges containers."""
