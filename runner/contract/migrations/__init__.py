"""Numbered steps to the schema of `tables`, never edited once released."""
