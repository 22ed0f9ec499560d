"""Who may call: keys of users, and the enrolment of nodes."""
