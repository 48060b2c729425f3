"""What a TaskWebhook does with a delivery: the proof, the event, the input, the task."""
