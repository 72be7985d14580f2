"""Training: losses, batches and loops above Lightning."""
