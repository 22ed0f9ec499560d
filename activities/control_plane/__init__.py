"""Activities that the control worker runs. They write the read model and bring runs into being, for workflows."""
