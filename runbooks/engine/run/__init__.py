"""How a plan is run: host by host, resumed, or abandoned."""
