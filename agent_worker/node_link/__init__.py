"""The agent's side of the node link: the session that keeps the node online, and the calls that go beside it. It
carries presence and streams, and never work."""
