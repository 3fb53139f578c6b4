"""Guards switched off one at a time: a guard whose loss no test notices is a guard that may be lost."""
