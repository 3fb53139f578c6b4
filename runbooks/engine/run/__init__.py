"""Runs a plan: host by host, resumed, or abandoned."""
