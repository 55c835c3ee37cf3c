"""Looking at a prepared data set before training on it: a table, and a contact sheet for each case."""
