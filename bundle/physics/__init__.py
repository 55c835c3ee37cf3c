"""Units of X-ray measurement and noise."""
