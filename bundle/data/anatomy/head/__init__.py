"""Head and neck."""
