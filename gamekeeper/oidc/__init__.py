"""OpenID providers: what they tell is bounded, checked, and believed only when it is signed."""
