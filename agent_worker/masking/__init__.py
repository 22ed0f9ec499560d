"""Takes secret values out of what containers write, before it is kept on the node's disk or sent. It finds each value
in the encodings that programs usually print."""
