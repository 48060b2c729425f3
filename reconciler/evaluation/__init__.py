"""Evaluations: questions asked through the ordinary queue, answers scored, runs compared."""
