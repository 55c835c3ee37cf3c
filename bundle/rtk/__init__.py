"""Exchange with the Reconstruction Toolkit (RTK), whose axes differ: its (x, y, z) are our (y, z, x)."""
