"""From neural activity to BOLD: the haemodynamic response, and the removal of drift and motion."""
