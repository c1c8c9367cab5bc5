"""Sandboxes: the containers in which agents execute tools, apart from the gateway."""
