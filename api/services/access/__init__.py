"""Access: keys of users, and the enrolment of nodes. Secrets are shown once; the database has only their hashes."""
