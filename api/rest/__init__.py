"""REST: thin routes over the services."""
