"""Memory: what agents keep beyond a task, and how it is found again."""
