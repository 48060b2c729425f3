"""Child tasks: an agent queues work from a template, within bounds, exactly once."""
