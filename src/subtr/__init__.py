"""What happens inside a TR? Learned temporal aggregation for naturalistic fMRI."""

__version__ = "0.1.0"
