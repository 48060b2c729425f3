"""How each resource is, from what is recorded about it."""
