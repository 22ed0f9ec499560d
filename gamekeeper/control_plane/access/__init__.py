"""Access: what somebody may do who is not there to show a credential. Whoever is there is known by the api."""
