"""CT volumes, projection files and the transforms that turn them into training items."""
