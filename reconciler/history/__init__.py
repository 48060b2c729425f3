"""What was applied and refused: kept with its plan and its cause, and walked back to a line."""
