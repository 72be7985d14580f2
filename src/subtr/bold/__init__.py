"""BOLD as arrays: response, cleaning, deconvolution and alignment."""
