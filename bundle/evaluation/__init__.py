"""From reconstructions and label maps to tables that answer whether they can be trusted."""
