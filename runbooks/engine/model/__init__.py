"""Values and protocols of the engine: steps, plan, journal, history, debts and ports."""
