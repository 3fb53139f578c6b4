"""All tasks with what their declarations say; `tasks.namespace` has them as they are listed."""

from __future__ import annotations

import tasks
from runbooks.cli.listing import tasks_below
from runbooks.cli.task import DeclaredTask


def declared_tasks() -> dict[str, DeclaredTask]:
    """Return every task by its full name."""
    every = [task for collection in tasks.declared() for task in tasks_below(collection)]
    return {task.full_name: task for task in every if isinstance(task, DeclaredTask)}
