"""What stands in a formula and in a column: read, checked and computed, or refused."""
