"""The names that Temporal knows (ids, queues, workflow types), the client and the embedded server. No other package
makes them up."""
