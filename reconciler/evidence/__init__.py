"""What a compliance review gets: one folder with entries, proofs, reports and controls."""
