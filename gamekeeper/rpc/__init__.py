"""The node link's messages. ``v1`` is generated from proto/; ``convert`` maps them to the domain and back."""
