"""Real CTs made into other patients."""
