"""The ways out of the control plane: signed webhooks, mail, and Apprise for the rest. Every address is judged when it
is connected to, and nobody is followed elsewhere."""
