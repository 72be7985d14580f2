"""A film or a sound, brought onto the clock of the scanner."""
