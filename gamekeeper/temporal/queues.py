"""Task queues, named here alone. A node has two, so that a stop never waits behind steps."""

CONTROL_PLANE = "control-plane"


def node_queue(node_id: str) -> str:
    return f"node:{node_id}"


def node_control_queue(node_id: str) -> str:
    return f"node:{node_id}:ctl"


def is_of_a_node(queue: str) -> bool:
    return queue.startswith("node:")


def node_of(queue: str) -> str:
    """The node of a queue; empty for the control plane's."""
    return queue.split(":", 2)[1] if is_of_a_node(queue) else ""  # no id has a colon
