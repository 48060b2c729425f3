"""About how many tokens and how much money a change takes."""
