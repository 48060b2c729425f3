"""What happened in a period: changes, calls, approvals, limits, exceptions, samples."""
