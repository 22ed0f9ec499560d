"""REST: thin routes over the services. They translate, and decide nothing."""
