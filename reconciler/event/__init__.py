"""What happened to repositories and resources: kept, counted, followed."""
