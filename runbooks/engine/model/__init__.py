"""Values and protocols of the engine: step, plan, journal, history, debts, ports."""
