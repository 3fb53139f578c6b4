"""Archives through the years: looked into, proved again, encrypted anew, dropped."""
