"""Use cases, shared by REST and the node link. They open the transactions and talk to Temporal."""
