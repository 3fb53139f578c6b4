"""What every task shares: how it is declared, where it runs, and how results are shown."""
