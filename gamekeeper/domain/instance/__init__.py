"""An instance: a server or a desktop that stays up on a node. Its revisions, its states, and the orders to its keeper.

Built on the containers and the language; runs make instances, and know nothing else of them.
"""
