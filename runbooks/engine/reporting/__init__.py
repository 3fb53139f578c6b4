"""Texts about a plan and a run: plan as Markdown, events, notifications, step reports and estimates."""
