"""Training: networks, losses, data sets and the loop."""
