"""From raw data sets to prepared ones: one case's work, and running it over thousands of cases."""
