"""Activities that the control worker runs."""
