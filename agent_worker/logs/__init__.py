"""The way of a log on the node: read from the engine, kept on disk, uploaded, acknowledged. No line leaves the disk
before the server has it."""
