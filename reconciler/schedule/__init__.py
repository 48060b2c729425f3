"""Work by the clock: what a TaskSchedule owes, and what became of its moments."""
